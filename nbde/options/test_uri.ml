(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The argument of -a.
 *)

open Types

let show = function
  | File name -> "file " ^ name
  | Remote { protocol; server; username; password; path } ->
     let text = Option.value ~default:"-" in
     String.concat " "
       [protocol; server; text username; text password; path]

let accepts uri expected =
  Testing.equal uri show expected (Uri.parse uri)

let remote ~server ?username ?password protocol path =
  Remote { protocol; server; username; password; path }

let test_files () =
  accepts "guest.img" (File "guest.img");
  accepts "/a b/guest.img" (File "/a b/guest.img");
  accepts "a:b//c" (File "a:b//c");
  accepts "./nbd://x" (File "./nbd://x");
  accepts "file:///a%20b" (File "/a b");
  accepts "FILE://localhost/x" (File "/x")

let test_remote () =
  accepts "nbd://host" (remote "nbd" ~server:"host" "");
  accepts "nbd://host:10809/" (remote "nbd" ~server:"host:10809" "");
  accepts "nbd://[::1]:10809/disk" (remote "nbd" ~server:"[::1]:10809" "disk");
  accepts "nbd+unix:///?socket=/run/a%20b"
    (remote "nbd" ~server:"unix:/run/a b" "");
  accepts "nbd+unix:///disk?socket=/run/sock"
    (remote "nbd" ~server:"unix:/run/sock" "disk");
  accepts "ssh://host/a/b.img" (remote "ssh" ~server:"host" "/a/b.img");
  accepts "ssh://me@host:2222/a"
    (remote "ssh" ~server:"host:2222" ~username:"me" "/a");
  accepts "https://u%40x:p%3aw@host/a%2Fb%3fc"
    (remote "https" ~server:"host" ~username:"u@x" ~password:"p:w" "/a/b?c");
  accepts "HTTP://host:80/x" (remote "http" ~server:"host:80" "/x")

let test_rejected () =
  let rejects uri =
    Testing.fails uri (fun () -> Uri.parse uri) in
  List.iter rejects [
    "gopher://host/x"; "ftp://host/x"; "rbd:///pool/disk";
    "nbd://"; "nbd:///x"; "nbd://host?socket=/x"; "nbd://host:0/x";
    "nbd://host:65536"; "nbd://host:x"; "nbd+unix:///x"; "nbd+unix:///?socket=";
    "nbd+unix://host/?socket=/x"; "ssh://host"; "ssh://host/"; "ssh:///x";
    "ssh://host/a%0"; "ssh://host/a%zz"; "ssh://host/a%00b"; "http://host";
    "file://host/x"; "file://"; "ssh://host/a?b"; "http://host/a?b";
  ]

let () =
  test_files ();
  test_remote ();
  test_rejected ();
  Testing.finish ()
