(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Sockets that listen.
 *)

let with_folder f =
  let parent = Filename.get_temp_dir_name () in
  let folder = Files.make_folder ~parent ~prefix:(Package.name ^ "-") in
  Fun.protect ~finally:(fun () -> Files.remove folder) (fun () -> f folder)

(* The name of a socket has at most 107 bytes, so it is not that of TMPDIR. *)
let with_address f =
  with_folder (fun folder ->
    let fd = Unix.openfile folder Unix.[O_RDONLY; O_CLOEXEC] 0 in
    Fun.protect ~finally:(fun () -> Unix.close fd) (fun () ->
      f (Unix.ADDR_UNIX (
        Printf.sprintf "/proc/self/fd/%d/nbd" (Process.number fd)))))

let with_socket f =
  let fd = Unix.socket ~cloexec:true Unix.PF_UNIX Unix.SOCK_STREAM 0 in
  match f fd with
  | result -> result
  | exception e ->
     Unix.close fd;
     raise e

let connected () =
  with_address (fun address ->
    with_socket (fun listening ->
      Unix.bind listening address;
      Unix.listen listening 1;
      with_socket (fun ours ->
        Unix.connect ours address;
        listening, ours)))
