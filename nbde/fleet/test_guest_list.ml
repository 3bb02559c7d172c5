(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * LIST: what is read from it, and what is wrong with it, and where.
 *)

open Testing

let read ?format text = Guest_list.of_text ~file:"LIST" ~format text

let show (guest : Guest.t) =
  String.concat " "
    (guest.name
     :: List.map (fun { Guest.path; format } ->
          path ^ Option.fold ~none:"" ~some:(fun f -> ":" ^ f) format)
          guest.disks
     @ guest.options)

let good name ?format expected text_of_list =
  text name expected
    (String.concat ", "
       (List.map show (Array.to_list (read ?format text_of_list))))

let bad name expected text_of_list =
  match read text_of_list with
  | guests ->
     text name expected
       (String.concat ", " (List.map show (Array.to_list guests)))
  | exception Guest_list.Wrong lines ->
     text name expected (String.concat "\n" lines)

let () =
  good "paths" "a.img /srv/a.img, b /b" "# all\n/srv/a.img\r\n\n  \n/b\n";
  good "no line feed at the end" "a /a" "/a";
  good "a byte order mark" "a /a" "\xef\xbb\xbf/a\n";
  good "a URI" "root nbd://h:1/root?tls=no" "nbd://h:1/root?tls=no\n";
  good "JSON" "a /1:raw /2 --deadline=5 --no-proxy"
    ({|{"name":"a","disks":[{"path":"/1","format":"raw"},{"path":"/2"}],|}
     ^ {|"options":["--deadline","5","--no-proxy"]}|});
  good "a format for those that have none" ~format:"raw" "a /1:qcow2 /2:raw"
    {|{"name":"a","disks":[{"path":"/1","format":"qcow2"},{"path":"/2"}]}|};
  (* An abbreviation is written out: what is passed is what was checked. *)
  good "an abbreviated option" "a /1 --deadline=5"
    {|{"name":"a","disks":[{"path":"/1"}],"options":["--dead=5"]}|}

let disks = {|"disks":[{"path":"/1"}]|}

let () =
  bad "no JSON" "LIST:2:4: ':' expected near end of file" "/a\n{\"x\"\n"

let () =
  let line = Printf.sprintf "{\"name\": %s, %s}" in
  bad "twice" "LIST:3:2: the name 'a' is that of line 1, too"
    (line "\"a\"" disks ^ "\n/b\n" ^ line "\"a\"" disks);
  bad "twice, a path" "LIST:2:1: the name 'a' is that of line 1, too"
    "/1/a\n/2/a\n";
  bad "a slash" "LIST:1:2: the name 'a/b' has a '/'" (line "\"a/b\"" disks);
  bad "a dot" "LIST:1:2: the name '.a' begins with '.'" (line "\".a\"" disks);
  bad "a dash" "LIST:1:1: the name '-a' begins with '-'" "/srv/-a";
  bad "empty" "LIST:1:2: the name is empty" (line "\"\"" disks);
  bad "an escape" "LIST:1:2: the name '\\x1b[m' has a character that cannot be \
                   shown" (line "\"\\u001b[m\"" disks);
  bad "braces" "LIST:1:2: the name '{keys}' has a brace"
    (line "\"{keys}\"" disks);
  bad "long" "LIST:1:2: the name has more than 200 bytes"
    (line (Printf.sprintf "%S" (String.make 201 'a')) disks);
  bad "not text" "LIST:1:2: the name is not a string" (line "1" disks);
  bad "no name" "LIST:1:1: the guest has no name" ("{" ^ disks ^ "}");
  bad "no disk" "LIST:1:15: the guest has no disk"
    (line "\"a\"" "\"disks\": []");
  bad "a field" "LIST:1:15: a guest has no field 'disk'"
    (line "\"a\"" "\"disk\": []");
  bad "an action" "LIST:1:40: there is no option --check"
    (line "\"a\"" (disks ^ ", \"options\": [\"--check\"]"));
  bad "an output" "LIST:1:40: there is no option --output-keys"
    (line "\"a\"" (disks ^ ", \"options\": [\"--output-keys=x\"]"));
  bad "a disk" "LIST:1:40: there is no option -a"
    (line "\"a\"" (disks ^ ", \"options\": [\"-a\", \"x\"]"));
  bad "an argument" "LIST:1:40: 'x' is not an option"
    (line "\"a\"" (disks ^ ", \"options\": [\"x\"]"));
  bad "a passphrase"
    "LIST:1:40: option --key: 'all:key:secret': a fleet takes keys from files \
     only: ID:file:FILE"
    (line "\"a\"" (disks ^ ", \"options\": [\"--key\", \"all:key:secret\"]"));
  bad "a field of a disk" "LIST:1:15: a disk has no field 'fmt'"
    (line "\"a\"" {|"disks": [{"path": "/1", "fmt": "raw"}]|});
  bad "all that is wrong, in order"
    "LIST:1:1: the name '-a' begins with '-'\n\
     LIST:3:1: the name '-b' begins with '-'" "-a\n/c\n-b\n"

(* Not all 1000 of them. *)
let () =
  match read (String.concat "\n" (List.init 1000 (fun _ -> "-a"))) with
  | (_ : Guest.t array) -> is_true "many" false
  | exception Guest_list.Wrong lines ->
     number "many" 21 (List.length lines);
     text "the others" "980 more lines are wrong" (List.nth lines 20)

(* A folder: what may be an image. *)
let () =
  in_folder (fun folder ->
    let file name = Filename.concat folder name in
    List.iter (fun name -> write_file (file name) "")
      ["b.qcow2"; "a.img"; "README.md"; ".hidden.img"; "volume"];
    Unix.mkdir (file "c.img") 0o700;
    Unix.mkfifo (file "d.img") 0o600;
    let guests = Guest_list.read ~format:None (List folder) in
    text "images" "a.img b.qcow2 volume"
      (String.concat " "
         (List.map (fun g -> g.Guest.name) (Array.to_list guests)));
    fails "no guest" (fun () ->
      Guest_list.read ~format:None (List (file "README.md")));
    fails "no such file" (fun () ->
      Guest_list.read ~format:None (List (file "none"))))

let () = finish ()
