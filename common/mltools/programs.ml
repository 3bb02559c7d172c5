(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Programs that are known by their environment.
 *
 * A folder of /proc that is open stays that of its process: when that is gone,
 * there are no files in it, whoever has its number.
 *)

type mark = {
  variable : string;
  value : string;
}

external kill : Unix.file_descr -> int -> unit = "nbde_programs_kill"

(* What is in a file of /proc, whose size nobody knows: words that end in NUL.
 *)
let words folder name =
  let path =
    Printf.sprintf "/proc/self/fd/%d/%s" (Process.number folder) name in
  match open_in_bin path with
  | exception Sys_error _ -> []
  | channel ->
     let buffer = Buffer.create 4096 in
     let rec read () =
       match Buffer.add_channel buffer channel 4096 with
       | () -> read ()
       | exception (End_of_file | Sys_error _) -> () in
     read ();
     close_in_noerr channel;
     String.split_on_char '\000' (Buffer.contents buffer)

(* Call a function with the folder of a process and its number if it has the
 * mark.
 *)
let if_marked { variable; value } f name =
  match int_of_string_opt name with
  | None -> None
  | Some pid ->
     match
       Unix.openfile ("/proc/" ^ name) [Unix.O_RDONLY; Unix.O_CLOEXEC] 0
     with
     | exception Unix.Unix_error _ -> None
     | folder ->
        Fun.protect ~finally:(fun () -> Unix.close folder) (fun () ->
          if List.mem (variable ^ "=" ^ value) (words folder "environ") then
            Some (f folder pid)
          else None)

let all_marked mark f =
  List.filter_map (if_marked mark f) (Array.to_list (Sys.readdir "/proc"))

(* Returns the arguments that it had, if it was ended. *)
let finish_one ~spare folder pid =
  let arguments = words folder "cmdline" in
  if spare arguments then None
  else (
    kill folder pid;
    Some arguments
  )

(* One that was ended may have started another one just before, and has an
 * environment until the kernel has done with it.
 *)
let most_rounds = 200
let between_rounds = 0.05

let finish ?(spare = fun _ -> false) mark =
  let rec rounds n arguments =
    let found =
      List.filter_map Fun.id (all_marked mark (finish_one ~spare)) in
    let arguments = List.concat (arguments :: found) in
    if found = [] || n = 0 then arguments
    else (
      Unix.sleepf between_rounds;
      rounds (n - 1) arguments
    ) in
  List.sort_uniq compare (rounds most_rounds [])

let rec wait mark ~seconds =
  if all_marked mark (fun _ _ -> ()) = [] then true
  else if seconds <= 0. then false
  else (
    Unix.sleepf between_rounds;
    wait mark ~seconds:(seconds -. between_rounds)
  )
