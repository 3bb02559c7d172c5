(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * What an appliance reads of disks that are added as the tool adds them:
 *
 *   helper_drive_checksums FORMAT FILE...
 *
 * prints a line for each: SHA-256, as sha256sum does, and the name.
 *)

let disk format name =
  { Types.source = File name; format = Some format; blocksize = None }

let print (g : Guestfs.guestfs) device name =
  Printf.printf "%s  %s\n" (g#checksum_device "sha256" device) name

let run format names =
  let g = new Guestfs.guestfs () in
  let folder =
    Files.make_folder ~parent:(g#get_tmpdir ()) ~prefix:"drive-checksums-" in
  (* For libvirt, which runs qemu as another user. *)
  Unix.chmod folder 0o711;
  let finally () =
    g#close ();
    Files.remove folder in
  Fun.protect ~finally (fun () ->
    g#set_tmpdir (Some folder);
    Drives.add g ~folder ~writable:false
      (Drives.find ~writable:false
         (Types.Disks (List.map (disk format) names)));
    g#launch ();
    Array.iter2 (print g) (g#list_devices ()) (Array.of_list names))

let () =
  match Array.to_list Sys.argv with
  | _ :: format :: (_ :: _ as names) ->
     (try run format names
      with
      | Failure.Error { message; _ } | Guestfs.Error message ->
         prerr_endline message;
         exit 1)
  | _ ->
     prerr_endline "usage: helper_drive_checksums FORMAT FILE...";
     exit 2
