(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Errors keep their hint and their exit status on the way up.
 *)

let raises name ~message ~hint ~status f =
  Testing.raises name (function
    | Failure.Error e as error ->
       Testing.text name message e.message;
       Testing.is_true (name ^ ": hint") (e.hint = hint);
       Testing.number (name ^ ": status") status (Failure.status error);
       true
    | _ -> false) f

let () =
  raises "plain" ~message:"x: 2" ~hint:None ~status:1 (fun () ->
    Failure.error "%s: %d" "x" 2);
  raises "all" ~message:"m" ~hint:(Some "h") ~status:127 (fun () ->
    Failure.error ~hint:"h" ~status:127 "m");
  raises "code" ~message:"f: No such file or directory" ~hint:(Some "h")
    ~status:1 (fun () -> Failure.of_code ~hint:"h" "f" Unix.ENOENT);
  raises "within" ~message:"in x: m" ~hint:(Some "h") ~status:126 (fun () ->
    Failure.within ((^) "in x: ") (fun () ->
      Failure.error ~hint:"h" ~status:126 "m"));
  Testing.raises "another exception is left as it is"
    (fun e -> e = Not_found)
    (fun () -> Failure.within ((^) "in x: ") (fun () -> raise Not_found));
  Testing.number "its status" 1 (Failure.status Not_found);
  Testing.finish ()
