(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The disks in the XML of a domain.
 *)

open Types

let show { source; format; blocksize } =
  let text = Option.value ~default:"-" in
  String.concat " " (
    (match source with
     | File name -> [name]
     | Remote { protocol; server; username; path; _ } ->
        [protocol; server; text username; path])
    @ [text format]
    @ Option.to_list (Option.map string_of_int blocksize))

let path_of_volume ~pool volume = "/pools/" ^ pool ^ "/" ^ volume

let parse devices =
  Domain.parse ~path_of_volume
    ("<domain type='kvm'><name>g</name><devices>" ^ devices
     ^ "</devices></domain>")

let has name expected devices =
  Testing.equal name (Testing.list Fun.id) expected
    (List.map show (parse devices).disks)

let disk ?(device = "disk") ?(more = "") kind source =
  Printf.sprintf "<disk type='%s' device='%s'>%s%s<target dev='x'/></disk>"
    kind device source more

let driver = "<driver name='qemu' type='qcow2' cache='none'/>"

let test_local () =
  has "files and devices" ["/a b.img qcow2"; "/dev/vg/lv raw"]
    (disk ~more:driver "file" "<source file='/a b.img'/>"
     ^ disk "block" "<source dev='/dev/vg/lv'/>");
  has "no format is raw" ["/a raw"] (disk "file" "<source file='/a'/>");
  has "a volume" ["/pools/p/v qcow2"]
    (disk ~more:driver "volume" "<source pool='p' volume='v'/>");
  has "large sectors" ["/a qcow2 4096"]
    (disk ~more:(driver ^ "<blockio logical_block_size='4096'/>") "file"
       "<source file='/a'/>");
  has "no device is a disk" ["/a raw"]
    "<disk type='file'><source file='/a'/></disk>"

let test_left_out () =
  has "what the guest may not write" []
    (disk ~device:"cdrom" "file" "<source file='/a.iso'/>"
     ^ disk ~device:"floppy" "file" "<source file='/a.fd'/>"
     ^ disk ~more:"<readonly/>" "file" "<source file='/a'/>");
  has "an empty drive" [] (disk "file" "");
  has "no disk" [] "<emulator>/usr/bin/qemu</emulator>"

let test_network () =
  let network ?more protocol name host =
    disk ?more "network"
      (Printf.sprintf "<source protocol='%s' name='%s'>%s</source>" protocol
         name host) in
  has "nbd" ["nbd h:10809 - e raw"]
    (network "nbd" "e" "<host name='h' port='10809'/>");
  has "nbd by a socket" ["nbd unix:/run/s -  raw"]
    (disk "network" "<source protocol='nbd'>\
                     <host transport='unix' socket='/run/s'/></source>");
  has "IPv6" ["nbd [::1]:5 - e raw"]
    (network "nbd" "e" "<host name='::1' port='5'/>");
  has "ssh" ["ssh h me /d qcow2"]
    (network "ssh" "d" "<host name='h'/>"
       ~more:(driver ^ "<auth username='me'/>"));
  has "https" ["https h:443 - /d/x raw"]
    (network "https" "/d/x" "<host name='h' port='443'/>");
  let refuses name devices =
    Testing.raises name (function
      | Failure.Error { hint = Some _; _ } -> true
      | _ -> false) (fun () -> parse devices) in
  refuses "another protocol" (network "rbd" "p/i" "<host name='h'/>");
  List.iter (fun (name, attributes, inner) ->
    refuses name
      (disk "network"
         (Printf.sprintf "<source protocol='https' name='d' %s>\
                          <host name='h'/>%s</source>" attributes inner)))
    ["TLS", "tls='yes'", ""; "a query", "query='a=b'", "";
     "a part", "", "<slices><slice type='storage' offset='0' size='9'/></slices>";
     "cookies", "", "<cookies/>"; "encryption", "", "<encryption format='luks'/>"];
  refuses "encryption of the disk"
    (disk ~more:"<encryption format='luks'/>" "file" "<source file='/a'/>");
  refuses "another type" (disk "vhostuser" "<source type='unix' path='/s'/>")

let test_labels () =
  let { Domain.settings; _ } =
    Domain.parse ~path_of_volume
      "<domain><seclabel type='dynamic' model='dac'><label>+1:+1</label>\
       </seclabel><seclabel type='dynamic' model='selinux' relabel='no'>\
       <label>l:c1</label><imagelabel>i:c1</imagelabel></seclabel></domain>" in
  Testing.equal "SELinux" (Testing.list (fun (name, value) -> name ^ "=" ^ value))
    ["internal_libvirt_label", "l:c1"; "internal_libvirt_imagelabel", "i:c1";
     "internal_libvirt_norelabel_disks", "1"] settings

let test_broken () =
  Testing.fails "no XML" (fun () ->
    Domain.parse ~path_of_volume "<domain>")

let () =
  test_local ();
  test_left_out ();
  test_network ();
  test_labels ();
  test_broken ();
  Testing.finish ()
