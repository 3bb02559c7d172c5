(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * For shell tests: print bytes of a disk image, read without an appliance.
 *
 *   helper_read_disk FORMAT|- FILE [OFFSET LENGTH]...
 *
 * Without an offset: print its size.  Exit status: 1 it cannot be read, 2 not
 * without an appliance.
 *)

let rec print_parts reader = function
  | offset :: length :: rest ->
     let offset = Int64.of_string offset and length = int_of_string length in
     print_string (Reader.read reader ~offset ~length);
     print_parts reader rest
  | _ -> ()

let print file ?format parts =
  Reader.with_chain (Chain.walk ?format file) (fun reader ->
    if parts = [] then Printf.printf "%Ld\n" (Reader.size reader);
    print_parts reader parts)

let () =
  match Array.to_list Sys.argv with
  | _ :: format :: file :: parts ->
     (try print file ?format:(Image_format.of_name format) parts with
      | Failure.Error { message; hint; _ } ->
         prerr_endline message;
         Option.iter prerr_endline hint;
         exit 1
      | Reader.Unsafe reason ->
         prerr_endline reason;
         exit 2)
  | _ -> invalid_arg "helper_read_disk"
