(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Children: what they inherit, how they end, and locks.
 *)

open Testing

(* What a shell prints, and how it ends. *)
let shell script =
  let reading, writing = Unix.pipe ~cloexec:true () in
  let pid =
    Children.start "/bin/sh" [| "sh"; "-c"; script |] ~stdout:writing
      ~stderr:Unix.stderr in
  Unix.close writing;
  let channel = Unix.in_channel_of_descr reading in
  let rec lines so_far =
    match input_line channel with
    | line -> lines (line :: so_far)
    | exception End_of_file -> List.rev so_far in
  let text = String.concat " " (lines []) in
  close_in channel;
  text, Process.wait pid

let () =
  (* A descriptor that would be inherited. *)
  let fd = Unix.openfile "/dev/null" [Unix.O_RDONLY] 0 in
  let names, status = shell "exec 3<&-; ls /proc/$$/fd" in
  Unix.close fd;
  text "descriptors" "0 1 2" names;
  is_true "exit" (status = Unix.WEXITED 0);
  text "no input" "" (fst (shell "cat"));
  text "its own group" "yes"
    (fst (shell "read -r _ _ _ _ g _ < /proc/$$/stat; \
                 [ $g -eq $$ ] && echo yes"));
  is_true "signals are as at first"
    (snd (shell "kill -PIPE $$") = Unix.WSIGNALED Sys.sigpipe);
  raises "no such program"
    (function Unix.Unix_error (ENOENT, _, "/nowhere") -> true | _ -> false)
    (fun () ->
       Children.start "/nowhere" [| "x" |] ~stdout:Unix.stdout
         ~stderr:Unix.stderr)

let wait_readable fd = Unix.select [fd] [] [] 10. <> ([], [], [])

let () =
  let ended = Children.watch () in
  let pid =
    Children.start "/bin/sh" [| "sh"; "-c"; "sleep 100 & wait" |]
      ~stdout:Unix.stdout ~stderr:Unix.stderr in
  Children.kill ~group:true pid Sys.sigkill;
  is_true "the end of a child is seen" (Process.again (fun () ->
    wait_readable ended));
  is_true "killed" (Process.wait pid = Unix.WSIGNALED Sys.sigkill)

(* The parent of the child is a process in between, which is killed. *)
let () =
  let reading, writing = Unix.pipe () in
  match Unix.fork () with
  | 0 ->
     ignore (Children.start "/bin/sleep" [| "sleep"; "100" |] ~stdout:writing
               ~stderr:Unix.stderr);
     Unix.kill (Unix.getpid ()) Sys.sigkill
  | pid ->
     Unix.close writing;
     ignore (Process.wait pid);
     is_true "the child ends with its parent" (Process.again (fun () ->
       wait_readable reading));
     Unix.close reading

let () =
  in_folder (fun folder ->
    let file = Filename.concat folder "lock" in
    let opened () =
      Unix.openfile file [Unix.O_RDWR; Unix.O_CREAT; Unix.O_CLOEXEC] 0o600 in
    let a = opened () and b = opened () and c = opened () in
    is_true "shared" (Children.lock ~shared:true a);
    is_true "shared by two" (Children.lock ~shared:true ~wait:false b);
    is_true "not alone" (not (Children.lock ~wait:false c));
    Unix.close a;
    Unix.close b;
    is_true "alone" (Children.lock ~wait:false c);
    Unix.close c)

let () = finish ()
