(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The guests that a libvirt knows, by a read-only connection.  What their disks
 * are is found by the children.
 *)

open Gettext

let words (error : Libvirt.Virterror.t) =
  match error.message with
  | Some message -> String.trim message
  | None -> Libvirt.Virterror.to_string error

let names uri =
  try
    let connection = Libvirt.Connect.connect_readonly ?name:uri () in
    Fun.protect ~finally:(fun () -> Libvirt.Connect.close connection) (fun () ->
      let domains =
        Libvirt.Domain.get_domains connection [Libvirt.Domain.ListAll] in
      let names =
        Array.of_list (List.map Libvirt.Domain.get_name domains) in
      Array.sort compare names;
      names)
  with Libvirt.Virterror error ->
    Failure.error (f_"could not list the guests of libvirt: %s") (words error)
