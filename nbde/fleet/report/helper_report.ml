(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * For tests: helper_report STATE FORMAT [FILE], as virt-nbde-fleet report.
 *)

let () =
  let output = if Array.length Sys.argv > 3 then Some Sys.argv.(3) else None in
  try
    print_string
      (Report.run ~state:Sys.argv.(1) ~output
         ~format:(Report.format_of_name Sys.argv.(2)))
  with Failure.Error { message; hint; status } ->
    prerr_endline message;
    Option.iter prerr_endline hint;
    exit status
