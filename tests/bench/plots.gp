# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# The plots of the benchmarks, by gnuplot(1):
#
#   gnuplot -e "data='FOLDER'; output_folder='FOLDER'" plots.gp
#
# The data files are written by the benchmarks (plot_data in common.sh): a
# record a line, fields separated by tabs.  What was not measured is not drawn.

set datafile separator "\t"
set terminal svg size 720,420 font "sans-serif,14" background "#ffffff"
set style fill solid 0.9 noborder
set border 3
set tics nomirror out
set grid ytics lc rgb "#dddddd"
ours = "#2a78b8"
theirs = "#d98032"
file(name) = sprintf("%s/%s.data", data, name)
plot_file(name) = sprintf("%s/%s.svg", output_folder, name)
there(name) = int(system(sprintf("test -s '%s' && echo 1 || echo 0", \
                                 file(name))))

if (there("processes")) {
  set output plot_file("processes")
  set title "Inspection of a guest, whole processes"
  set ylabel "seconds, median and range"
  set bmargin 3.5
  set yrange [0:*]
  set boxwidth 0.6
  unset key
  # The part after the comma is a line of its own.
  two_lines(name) = strstrt(name, ", ") == 0 ? name : \
    name[1:strstrt(name, ", ")] . "\n" . name[strstrt(name, ", ")+2:*]
  stats file("processes") using 2 nooutput
  set xrange [-0.6:STATS_records - 0.4]
  set errorbars lw 1 lc rgb "#333333"
  mine(name, value) = name[1:4] eq "virt" ? value : 1/0
  other(name, value) = name[1:4] eq "virt" ? 1/0 : value
  plot file("processes") using 0:(other(stringcolumn(1), $2)):3:4:(0.6): \
         xticlabels(two_lines(stringcolumn(1))) with boxerrorbars \
         lc rgb theirs, \
       "" using 0:(mine(stringcolumn(1), $2)):3:4:(0.6): \
         xticlabels(two_lines(stringcolumn(1))) with boxerrorbars lc rgb ours
  set xrange [*:*]
}

if (there("unlock")) {
  set output plot_file("unlock")
  set title "From the header to the open device"
  set ylabel "seconds, median"
  set yrange [0:*]
  set key top left
  set style data histograms
  set style histogram clustered gap 1
  set boxwidth 0.9
  plot file("unlock") using 2:xticlabels(1) lc rgb theirs \
         title "clevis in the appliance", \
       "" using 3 lc rgb ours title "virt-nbde-unlock", \
       "" using ($0 - 0.17):2:(sprintf("%.1f", $2)) with labels \
         offset 0,0.6 notitle, \
       "" using ($0 + 0.17):3:(sprintf("%.1f", $3)) with labels \
         offset 0,0.6 notitle
  set style data points
}

set xlabel "LUKS devices in the guest"
set pointsize 0.8

if (there("growth")) {
  set output plot_file("growth")
  set title "More devices: from the search to the last open device"
  set ylabel "seconds, median"
  set xrange [0:*]
  set yrange [0:*]
  set key top left
  plot file("growth") using 1:2 with linespoints pt 7 lw 2 lc rgb ours \
         title "virt-nbde-unlock", \
       "" using 1:3 with linespoints pt 7 lw 2 lc rgb theirs \
         title "cryptsetup\\_open with the passphrase"
}

if (there("memory")) {
  set output plot_file("memory")
  set title "Memory of the process, without qemu"
  set ylabel "MiB at most"
  set xrange [0:*]
  set yrange [0:*]
  unset key
  plot file("memory") using 1:($2 / 1024) with linespoints pt 7 lw 2 \
         lc rgb ours
}
