(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Ask qemu whether KVM works.
 *)

let device = "/dev/kvm"
let variable = "LIBGUESTFS_BACKEND_SETTINGS"
let emulate = "force_tcg"

let may_open () =
  try
    Unix.access device [Unix.R_OK; Unix.W_OK];
    true
  with Unix.Unix_error _ -> false

(* qemu makes a machine with one processor, and is told on its monitor to end.
 * The processor is the one that libguestfs takes.
 *)
let works (g : Guestfs.guestfs) accelerator =
  let quit, writing = Unix.pipe ~cloexec:true () in
  Fun.protect ~finally:(fun () -> Unix.close quit) (fun () ->
    ignore (Unix.write_substring writing "quit\n" 0 5);
    Unix.close writing;
    Process.succeeds ~stdin:quit (g#get_hv ())
      ["-machine"; "accel=" ^ accelerator; "-cpu"; "max"; "-nodefaults";
       "-no-user-config"; "-display"; "none"; "-S"; "-monitor"; "stdio"])

let is_to_blame (g : Guestfs.guestfs) =
  g#get_backend () = "direct"
  && Sys.getenv_opt variable = None
  && may_open ()
  && not (works g "kvm")
  && works g "tcg"
