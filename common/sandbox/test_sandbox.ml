(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * What a program in a sandbox can do, and what it cannot.
 *)

let rules = {
  Sandbox.read = []; write = []; network = No_network; processes = true;
  memory = Sandbox.enough_memory; seconds = 30.;
}

let shell ?(rules = rules) script = Sandbox.run rules "sh" ["-c"; script]

let works name outcome =
  Testing.text (name ^ ": errors") "" outcome.Sandbox.errors;
  Testing.is_true name (Sandbox.succeeded outcome)

let fails name outcome =
  Testing.is_true name (not (Sandbox.succeeded outcome));
  Testing.is_true (name ^ ": it says so") (outcome.Sandbox.errors <> "")

let in_folder f =
  let folder =
    Files.make_folder ~parent:(Sys.getcwd ()) ~prefix:"sandbox-" in
  Fun.protect ~finally:(fun () -> Files.remove folder) (fun () -> f folder)

let write_file name text =
  let channel = open_out_bin name in
  output_string channel text;
  close_out channel

let quote = Filename.quote

let test_programs () =
  works "a program" (shell "exit 0");
  Testing.is_true "one that fails" (not (Sandbox.succeeded (shell "exit 3")));
  fails "one that is not there"
    (Sandbox.run rules "/nonexistent/program" []);
  in_folder (fun folder ->
    let before = Sys.getcwd () in
    Sys.chdir folder;
    write_file "nowhere-in-path" "#!/bin/sh\n";
    Unix.chmod "nowhere-in-path" 0o700;
    Testing.raises "one of the current folder"
      (function Unix.Unix_error (ENOENT, _, _) -> true | _ -> false)
      (fun () -> Sandbox.run rules "nowhere-in-path" []);
    Sys.chdir before);
  let outcome = shell "echo words >&2; yes | head -c 200000 >&2" in
  works "one that says much" { outcome with errors = "" };
  Testing.is_true "its first words"
    (String.starts_with ~prefix:"words\n" outcome.errors);
  Testing.number "not more" 65536 (String.length outcome.errors)

let test_files () =
  if not (Sandbox.file_rules ()) then
    prerr_endline "this kernel has no Landlock: its rules are not tested"
  else
    in_folder (fun folder ->
      let path name = Filename.concat folder name in
      let allowed = path "allowed" and other = path "other" in
      let inside = path "inside" in
      write_file allowed "text";
      write_file other "text";
      Unix.mkdir inside 0o700;
      let with_file = { rules with read = [allowed] } in
      let with_folder = { rules with write = [inside] } in
      let cat = Printf.sprintf "cat < %s" in
      works "a file that is named" (shell ~rules:with_file (cat (quote allowed)));
      fails "another one" (shell ~rules:with_file (cat (quote other)));
      fails "a file of the system" (shell (cat "/etc/passwd"));
      fails "memory of a process" (shell (cat "/proc/$PPID/environ"));
      fails "to write what may be read"
        (shell ~rules:with_file (": >> " ^ quote allowed));
      works "to write in a folder"
        (shell ~rules:with_folder ("echo x > " ^ quote (inside ^ "/new")));
      fails "to write beside it"
        (shell ~rules:with_folder ("echo x > " ^ quote (path "new")));
      fails "to remove a file beside it"
        (shell ~rules:with_folder ("rm " ^ quote other));
      fails "to list a folder" (shell ~rules:with_file ("ls " ^ quote folder));
      Testing.is_true "the file is still there" (Sys.file_exists other))

(* A server that accepts what comes. *)
let with_server f =
  let server = Unix.socket ~cloexec:true Unix.PF_INET Unix.SOCK_STREAM 0 in
  Fun.protect ~finally:(fun () -> Unix.close server) (fun () ->
    Unix.bind server (Unix.ADDR_INET (Unix.inet_addr_loopback, 0));
    Unix.listen server 5;
    match Unix.getsockname server with
    | ADDR_INET (_, port) -> f port
    | ADDR_UNIX _ -> assert false)

let test_network () =
  with_server (fun port ->
    let connect rules =
      Sandbox.run rules "bash"
        ["-c"; Printf.sprintf "exec 3<>/dev/tcp/127.0.0.1/%d" port] in
    fails "a connection" (connect rules);
    works "one that is allowed" (connect { rules with network = Internet }))

(* A socket of this host, which many services have. *)
let test_local_sockets () =
  in_folder (fun folder ->
    let path = Filename.concat folder "s" in
    let server = Unix.socket ~cloexec:true Unix.PF_UNIX Unix.SOCK_STREAM 0 in
    Fun.protect ~finally:(fun () -> Unix.close server) (fun () ->
      Unix.bind server (Unix.ADDR_UNIX path);
      Unix.listen server 5;
      let connect network =
        Sandbox.run { rules with network } "perl"
          ["-MSocket"; "-e";
           Printf.sprintf "socket (S, AF_UNIX, SOCK_STREAM, 0) && \
                           connect (S, pack_sockaddr_un ('%s')) or die 'no'"
             path] in
      fails "without a network" (connect No_network);
      fails "with the internet" (connect Internet);
      works "with all sockets" (connect All_sockets)))

let test_files_with_network () =
  if Sandbox.file_rules () then (
    let with_network = { rules with network = All_sockets } in
    works "names of hosts" (shell ~rules:with_network "cat /etc/hosts >/dev/null");
    fails "other files of the system"
      (shell ~rules:with_network "cat /etc/fstab /etc/shadow")
  )

(* Landlock has no rule for these. *)
let test_metadata () =
  in_folder (fun folder ->
    let file = Filename.concat folder "file" in
    write_file file "text";
    Unix.chmod file 0o600;
    Unix.utimes file 1e9 1e9;
    let before = Unix.stat file in
    let run code =
      Sandbox.run { rules with write = [folder] } "perl"
        ["-e"; code ^ " or die 'no'"] in
    fails "mode" (run (Printf.sprintf "chmod 04777, '%s'" file));
    fails "owner" (run (Printf.sprintf "chown 1000, 1000, '%s'" file));
    fails "date" (run (Printf.sprintf "utime 0, 0, '%s'" file));
    let after = Unix.stat file in
    Testing.is_true "as before"
      ((before.st_perm, before.st_uid, before.st_mtime)
       = (after.st_perm, after.st_uid, after.st_mtime)))

let test_limits () =
  let program = "perl" in
  fails "memory"
    (Sandbox.run rules program ["-e"; "my $x = 'x' x (2 ** 31);"]);
  let started = Unix.gettimeofday () in
  let outcome = shell ~rules:{ rules with seconds = 0.5 } "sleep 600" in
  Testing.is_true "not in time" (not outcome.in_time);
  Testing.is_true "it was ended" (outcome.status = Unix.WSIGNALED Sys.sigkill);
  Testing.is_true "soon" (Unix.gettimeofday () -. started < 60.);
  let outcome =
    shell ~rules:{ rules with seconds = 0.5 } "exec 2>&-; exec sleep 600" in
  Testing.is_true "not in time, without standard error" (not outcome.in_time);
  in_folder (fun folder ->
    let file = Filename.concat folder "large" in
    let outcome =
      shell ~rules:{ rules with write = [folder] }
        (Printf.sprintf "exec head -c 200000000 /dev/zero > '%s'" file) in
    Testing.is_true "a large file" (not (Sandbox.succeeded outcome));
    Testing.number "its size" (64 * 1024 * 1024) (Unix.stat file).st_size)

let test_others () =
  let alone = { rules with processes = false } in
  fails "another process" (shell ~rules:alone "ls; exit 0");
  works "a thread"
    (Sandbox.run alone "perl" ["-e"; "exit 0"]);
  let victim = Unix.create_process "sleep" [| "sleep"; "600" |]
                 Unix.stdin Unix.stdout Unix.stderr in
  fails "a signal to another process"
    (shell (Printf.sprintf "kill -KILL %d" victim));
  Testing.is_true "it still runs"
    (fst (Unix.waitpid [Unix.WNOHANG] victim) = 0);
  Unix.kill victim Sys.sigkill;
  ignore (Unix.waitpid [] victim);
  let outcome = Sandbox.run rules "bash" ["-c"; "kill -ABRT $$; exit 0"] in
  Testing.is_true "nor to itself by its number" (Sandbox.succeeded outcome);
  Testing.is_true "it may end itself"
    ((Sandbox.run rules "perl"
        ["-e"; "require POSIX; POSIX::abort()"]).status
     = Unix.WSIGNALED Sys.sigabrt)

(* A descriptor that this process has, and would give to any program. *)
let test_descriptors () =
  let given, other = Unix.pipe ~cloexec:false () in
  fails "a descriptor of ours"
    (shell (Printf.sprintf "cat <&%d" (Obj.magic given : int)));
  Unix.close given;
  Unix.close other

(* A pipe with a text in it. *)
let with_text text f =
  let reading, writing = Unix.pipe ~cloexec:true () in
  Files.write_text writing text;
  Unix.close writing;
  Fun.protect ~finally:(fun () -> Unix.close reading) (fun () -> f reading)

let finish ?(seconds = 30.) process = Sandbox.finish process ~seconds

(* Wherever they were, they come where they are wanted. *)
let test_given () =
  with_text "a" (fun a ->
    with_text "b" (fun b ->
      with_text "c" (fun c ->
        let script = "cat <&3 >&2; cat <&4 >&2; cat <&5 >&2" in
        let start = Sandbox.start rules "sh" ["-c"; script] in
        let outcome = finish (start ~given:[c; a; b]) in
        Testing.is_true "they are there" (Sandbox.succeeded outcome);
        Testing.text "in this order" "cab" outcome.errors;
        fails "but no other"
          (finish (Sandbox.start rules ~given:[c; a] "sh"
                     ["-c"; "cat <&5"])))))

(* A listening socket, and a connection that waits there. *)
let with_listener f =
  in_folder (fun folder ->
    let address = Unix.ADDR_UNIX (Filename.concat folder "s") in
    let socket () = Unix.socket ~cloexec:true Unix.PF_UNIX Unix.SOCK_STREAM 0 in
    let server = socket () and client = socket () in
    Fun.protect ~finally:(fun () -> Unix.close server; Unix.close client)
      (fun () ->
        Unix.bind server address;
        Unix.listen server 1;
        Unix.connect client address;
        f server client))

let test_accept () =
  let perl = Printf.sprintf "use Socket; open (S, '+<&=', 3) or die 's'; %s" in
  let run ?(network = Sandbox.Accept) given code =
    finish (
      Sandbox.start { rules with network } ~given "perl" ["-e"; perl code]) in
  with_listener (fun server client ->
    works "it accepts"
      (run [server]
         "$ENV{LISTEN_FDS} eq 1 && $ENV{LISTEN_PID} eq $$ or die 'not told'; \
          accept (C, S) or die 'no'; syswrite (C, 'hello'); exit 0");
    let buffer = Bytes.create 5 in
    Testing.number "it answers" 5 (Unix.read client buffer 0 5);
    (* Some of these would fail anyhow, for other reasons. *)
    List.iter (fun (name, code) ->
      let outcome = run [server] (code ^ " or die $! + 0") in
      fails name outcome;
      Testing.is_true (name ^ ": EPERM")
        (String.starts_with ~prefix:"1 at " outcome.errors))
      ["a socket", "socket (X, AF_UNIX, SOCK_STREAM, 0)";
       "one of the internet", "socket (X, AF_INET, SOCK_STREAM, 0)";
       "a pair", "socketpair (X, Y, AF_UNIX, SOCK_STREAM, 0)";
       "to listen", "listen (S, 9)";
       "to connect", "connect (S, pack_sockaddr_un ('x'))";
       "to bind", "bind (S, pack_sockaddr_un ('x'))"]);
  with_listener (fun server _ ->
    fails "it accepts only where it is allowed to"
      (run ~network:No_network [server] "accept (C, S) or die 'no'"))

let is_there pid = try Unix.kill pid 0; true with Unix.Unix_error _ -> false

(* The number of a process, from what it says. *)
let pid_from reading =
  let channel = Unix.in_channel_of_descr reading in
  Fun.protect ~finally:(fun () -> close_in channel) (fun () ->
    int_of_string (input_line channel))

let test_stop () =
  let start () =
    let reading, writing = Unix.pipe ~cloexec:true () in
    let process =
      Fun.protect ~finally:(fun () -> Unix.close writing) (fun () ->
        Sandbox.start rules ~given:[writing] "sh"
          ["-c"; "echo $$ >&3; exec sleep 600"]) in
    process, pid_from reading in
  let process, pid = start () in
  Testing.is_true "it runs" (is_there pid);
  Sandbox.stop process;
  Testing.is_true "it was stopped" (not (is_there pid));
  let process, pid = start () in
  let outcome = finish ~seconds:0.3 process in
  Testing.is_true "not in time" (not outcome.in_time);
  Testing.is_true "it was ended" (not (is_there pid))

(* A signal by way of a descriptor. *)
let test_owner_of_descriptor () =
  fails "F_SETOWN"
    (Sandbox.run rules "perl"
       ["-e"; "pipe (R, W); fcntl (R, 8, 1) or die 'no'"])

let test_privileges () =
  fails "another namespace" (shell "unshare --user true");
  works "no capability but two"
    (Sandbox.run { rules with read = ["/proc"] } "bash" [
       "-c";
       "caps=$(grep ^CapBnd /proc/self/status); \
        test $((0x${caps##*[!0-9a-f]} & ~6)) = 0"]);
  let outcome =
    shell ~rules:{ rules with read = ["/proc"] }
      "grep -q 'NoNewPrivs:.1' /proc/self/status && \
       grep -q 'Seccomp:.2' /proc/self/status" in
  works "no new privileges, and a filter" outcome

let () =
  test_programs ();
  test_files ();
  test_network ();
  test_local_sockets ();
  test_files_with_network ();
  test_metadata ();
  test_limits ();
  test_others ();
  test_descriptors ();
  test_given ();
  test_accept ();
  test_stop ();
  test_owner_of_descriptor ();
  test_privileges ();
  Testing.finish ()
