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
  test_owner_of_descriptor ();
  test_privileges ();
  Testing.finish ()
