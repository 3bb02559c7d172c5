(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The bytes of disks, in all formats: those that qemu-img gives.  And what images,
 * servers and a qemu-nbd that they have taken over can do.
 *)

open Printf

let in_folder = Testing.in_folder
let read_file = Testing.read_file
let write_file = Testing.write_file
let contains = Testing.contains

let run program arguments =
  if not (Process.succeeds program arguments) then
    failwith (String.concat " " (program :: arguments))

let qemu_img = run "qemu-img"

let fails ?hint name words f =
  match f () with
  | _ -> Testing.text name "an error" "none"
  | exception Failure.Error { message; hint = found; _ } ->
     Testing.text name words
       (if contains message words then words else message);
     Option.iter (fun hint ->
       Testing.is_true (name ^ ": hint")
         (contains (Option.value found ~default:"") hint)) hint

let random = Random.State.make [| 20261128 |]

let random_bytes length =
  String.init length (fun _ -> Char.chr (Random.State.int random 256))

let mebibyte = 1024 * 1024

(* Bytes, a hole, and bytes again; it ends within a cluster of any format. *)
let make_source name =
  let channel = open_out_bin name in
  output_string channel (random_bytes mebibyte);
  seek_out channel (4 * mebibyte);
  output_string channel (random_bytes (2 * mebibyte + 3 * 512));
  close_out channel

let open_image ?seconds ?format file =
  Reader.open_chain ?seconds (Chain.walk ?format file)

let with_reader reader f =
  Fun.protect ~finally:(fun () -> Reader.close reader) (fun () -> f reader)

(* The same bytes, at random places, at both ends, and all in one. *)
let check_bytes name expected reader =
  let size = String.length expected in
  Testing.number (name ^ ": size") size (Int64.to_int (Reader.size reader));
  let same offset length =
    String.equal (String.sub expected offset length)
      (Reader.read reader ~offset:(Int64.of_int offset) ~length) in
  let somewhere () =
    let offset = Random.State.int random size in
    same offset (Random.State.int random (min 300_000 (size - offset) + 1)) in
  Testing.is_true (name ^ ": at random places")
    (List.for_all somewhere (List.init 40 ignore));
  Testing.is_true (name ^ ": at its ends")
    (same 0 1 && same (size - 1) 1 && same size 0 && same 0 0);
  Testing.is_true (name ^ ": all") (same 0 size);
  let refuses offset length =
    fails (name ^ ": not outside") "its size is" (fun () ->
      Reader.read reader ~offset ~length) in
  refuses (Int64.of_int size) 1;
  refuses (Int64.of_int (size - 1)) 2;
  refuses (-1L) 1;
  refuses 0L (-1);
  refuses Int64.max_int 1;
  refuses 1L max_int

(* What qemu-img makes of an image. *)
let raw_of ?(format = "qcow2") file =
  let raw = file ^ ".expected" in
  qemu_img ["convert"; "-f"; format; "-O"; "raw"; file; raw];
  let bytes = read_file raw in
  Sys.remove raw;
  bytes

let check_image ?format name file =
  with_reader (open_image ?format:(Option.bind format Image_format.of_name) file)
    (check_bytes name (raw_of ?format file))

let test_raw () =
  in_folder (fun _ ->
    make_source "raw";
    with_reader (open_image ~format:Raw "raw") (check_bytes "raw" (read_file "raw"));
    write_file "odd" (random_bytes 70_001);
    with_reader (open_image ~format:Raw "odd") (check_bytes "odd" (read_file "odd"));
    run "truncate" ["-s"; "1T"; "sparse"];
    with_reader (open_image ~format:Raw "sparse") (fun reader ->
      Testing.is_true "a terabyte" (Reader.size reader = Int64.shift_left 1L 40);
      Testing.is_true "its end"
        (Reader.read reader ~offset:1099511627775L ~length:1 = "\000"));
    with_reader (open_image ~format:Raw "raw") (fun reader ->
      run "truncate" ["-s"; "1M"; "raw"];
      fails "cut behind our back" "raw: cannot be read: it has become shorter"
        (fun () -> Reader.read reader ~offset:1048570L ~length:10);
      Reader.close reader;
      Reader.close reader;
      fails "closed" "it is closed" (fun () ->
        Reader.read reader ~offset:0L ~length:1)))

let test_formats () =
  in_folder (fun _ ->
    make_source "source";
    List.iter (fun (name, format, options) ->
      let file = "disk." ^ name in
      qemu_img (["convert"; "-f"; "raw"; "-O"; format] @ options
                @ ["source"; file]);
      check_image ~format name file)
      ["qcow2", "qcow2", [];
       "compressed", "qcow2", ["-c"];
       "zstd", "qcow2", ["-c"; "-o"; "compression_type=zstd"];
       "old", "qcow2", ["-o"; "compat=0.10"];
       "subclusters", "qcow2", ["-o"; "extended_l2=on,cluster_size=128k"];
       "qcow", "qcow", []; "qed", "qed", [];
       "vmdk", "vmdk", [];
       "stream", "vmdk", ["-o"; "subformat=streamOptimized"];
       "vdi", "vdi", []; "vhdx", "vhdx", []; "vpc", "vpc", [];
       "fixed", "vpc", ["-o"; "subformat=fixed"];
       "parallels", "parallels", []])

let overlay ?(format = "qcow2") ~over file =
  qemu_img ["create"; "-q"; "-f"; "qcow2"; "-b"; over; "-F"; format; file]

(* Bytes of its own in an overlay. *)
let write_into file ~pattern ~offset =
  run "qemu-io" ["-f"; "qcow2"; "-c";
                 sprintf "write -P %d %d 100000" pattern offset; file]

let test_backing () =
  in_folder (fun _ ->
    make_source "base";
    overlay ~format:"raw" ~over:"base" "middle";
    write_into "middle" ~pattern:17 ~offset:500_000;
    check_image "qcow2 over raw" "middle";
    overlay ~over:"middle" "top";
    write_into "top" ~pattern:34 ~offset:550_000;
    check_image "qcow2 over qcow2 over raw" "top";
    let strange = "a: b,c\"d\\\xff\n/proc/self/fd/4 " ^ String.make 200 'x' in
    let strange = String.map (fun c -> if c = '/' then ':' else c) strange in
    Sys.rename "top" strange;
    with_reader (open_image strange) (fun reader ->
      Testing.is_true "a strange name"
        (Reader.read reader ~offset:550_000L ~length:9 = String.make 9 '\034')))

(* Where there are loop devices and we may have one. *)
let test_block_device () =
  in_folder (fun _ ->
    let with_loop file f =
      let output = Unix.open_process_in
          ("losetup --find --show --read-only " ^ file ^ " 2>/dev/null") in
      let device = try Some (input_line output) with End_of_file -> None in
      match Unix.close_process_in output, device with
      | WEXITED 0, Some device ->
         Fun.protect ~finally:(fun () -> run "losetup" ["-d"; device])
           (fun () -> f device)
      | _ -> prerr_endline "no loop device: block devices are not tested" in
    make_source "source";
    with_loop "source" (fun device ->
      with_reader (open_image ~format:Raw device)
        (check_bytes "a block device" (read_file "source"));
      overlay ~format:"raw" ~over:device "over";
      check_image "over a block device" "over");
    qemu_img ["convert"; "-f"; "raw"; "-O"; "qcow2"; "source"; "disk"];
    with_loop "disk" (fun device ->
      with_reader (open_image device)
        (check_bytes "qcow2 on a block device" (raw_of "disk"))))

(* Servers.  A socket that listens is there before the server. *)

let listen_on address =
  let domain = Unix.domain_of_sockaddr address in
  let socket = Unix.socket ~cloexec:true domain Unix.SOCK_STREAM 0 in
  Unix.bind socket address;
  Unix.listen socket 5;
  socket

let loopback = Unix.ADDR_INET (Unix.inet_addr_loopback, 0)

let name_of socket =
  match Unix.getsockname socket with
  | ADDR_INET (_, port) -> sprintf "127.0.0.1:%d" port
  | ADDR_UNIX path -> "unix:" ^ path

let end_process pid =
  (try Unix.kill pid Sys.sigkill with Unix.Unix_error _ -> ());
  ignore (Process.wait pid)

let with_listening address f =
  let socket = listen_on address in
  Fun.protect ~finally:(fun () -> Unix.close socket) (fun () -> f socket)

(* Run a server that is given its socket, as by systemd. *)
let with_server ?(address = loopback) program arguments f =
  with_listening address (fun socket ->
    let script =
      "exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$@\"" in
    let pid =
      Unix.create_process "sh"
        (Array.of_list (["sh"; "-c"; script; "sh"; program] @ arguments))
        socket Unix.stdout Unix.stderr in
    Fun.protect ~finally:(fun () -> end_process pid) (fun () ->
      f (name_of socket)))

let open_server ?seconds ?(export = "") server =
  Reader.open_nbd ?seconds ~server ~export ~title:"disk of a server" ()

let test_servers () =
  in_folder (fun folder ->
    make_source "source";
    let expected = read_file "source" in
    let check ?export name server =
      with_reader (open_server ?export server) (check_bytes name expected) in
    let nbd = ["--read-only"; "--format=raw"; "--persistent"] in
    with_server "qemu-nbd" (nbd @ ["source"]) (check "nbd:// of qemu-nbd");
    with_server ~address:(Unix.ADDR_UNIX (Filename.concat folder "s"))
      "qemu-nbd" (nbd @ ["--export-name=e x"; "source"]) (fun server ->
        check ~export:"e x" "nbd+unix://" server;
        fails "no such export" "disk of a server: cannot be read: " (fun () ->
          open_server ~export:"other" server));
    let nbdkit = ["-f"; "-r"; "file"; "source"] in
    with_server "nbdkit" nbdkit (check "nbd:// of nbdkit");
    let size = String.length expected / 4096 * 4096 in
    run "truncate" ["-s"; string_of_int size; "source"];
    with_server "nbdkit"
      (nbdkit @ ["--filter=blocksize-policy"; "blocksize-error-policy=error";
                 "blocksize-minimum=4096"; "blocksize-preferred=8192";
                 "blocksize-maximum=65536"])
      (fun server ->
        with_reader (open_server server)
          (check_bytes "only large blocks" (String.sub expected 0 size)));
    fails "no server" "refused" (fun () -> open_server "127.0.0.1:1");
    fails "no socket" "No such file" (fun () -> open_server "unix:/nonexistent");
    fails "a long name" "cannot be read" (fun () ->
      open_server ("unix:/" ^ String.make 5000 'x'));
    fails "a long export" "cannot be read" (fun () ->
      open_server ~export:(String.make 100_000 'x') "127.0.0.1:1"))

(* A server that is a function of its connection. *)
let with_fake serve f =
  with_listening loopback (fun socket ->
    match Unix.fork () with
    | 0 ->
       (try
          let fd, _ = Unix.accept socket in
          serve fd
        with _ -> ());
       Unix._exit 0
    | pid ->
       Fun.protect ~finally:(fun () -> end_process pid) (fun () ->
         f (name_of socket)))

let be64 n =
  let b = Bytes.create 8 in
  Bytes.set_int64_be b 0 n;
  Bytes.to_string b

(* The first form of the handshake: no options, only a size. *)
let handshake size =
  "NBDMAGIC" ^ be64 0x00420281861253L ^ be64 size ^ "\000\000\000\001"
  ^ String.make 124 '\000'

let say fd text = Files.write_text fd text
let wait_for_request fd = ignore (Unix.read fd (Bytes.create 28) 0 28)

let test_hostile_servers () =
  let opens name words ?seconds serve =
    with_fake serve (fun server ->
      fails name words (fun () -> open_server ?seconds server)) in
  let reads name words ?seconds serve =
    with_fake (fun fd ->
      say fd (handshake 1048576L);
      wait_for_request fd;
      serve fd)
      (fun server ->
        with_reader (open_server ?seconds server) (fun reader ->
          fails name words (fun () ->
            Reader.read reader ~offset:0L ~length:65536))) in
  let silent _ = Unix.sleep 60 in
  let drip fd =
    while true do
      say fd "N";
      Unix.sleepf 0.05
    done in
  let cannot = "disk of a server: cannot be read: " in
  let started = Unix.gettimeofday () in
  opens "no answer" (cannot ^ "no answer in 0.4 s") ~seconds:0.4 silent;
  opens "a drop now and then" (cannot ^ "") ~seconds:0.4 drip;
  opens "nonsense" cannot (fun fd -> say fd (random_bytes 1000));
  opens "it goes" cannot (fun _ -> ());
  opens "a negative size" cannot (fun fd -> say fd (handshake (-1L)));
  opens "a size of no disk" "is not that of a disk" (fun fd ->
    say fd (handshake 0x7fff_ffff_ffff_ffffL);
    Unix.sleep 60);
  reads "it says nothing more" "no answer in 0.4 s" ~seconds:0.4 silent;
  reads "it goes then" cannot (fun _ -> ());
  reads "nonsense then" cannot (fun fd -> say fd (random_bytes 1000));
  reads "half of it" cannot (fun fd ->
    say fd ("\x67\x44\x66\x98\000\000\000\000" ^ be64 1L ^ "half"));
  Testing.is_true "in time" (Unix.gettimeofday () -. started < 20.);
  with_fake (fun fd ->
    say fd (handshake 1024L);
    wait_for_request fd;
    say fd ("\x67\x44\x66\x98\000\000\000\005" ^ be64 1L);
    wait_for_request fd;
    say fd ("\x67\x44\x66\x98\000\000\000\000" ^ be64 2L ^ String.make 9 'x');
    Unix.sleep 60)
    (fun server ->
      with_reader (open_server server) (fun reader ->
        let read () = Reader.read reader ~offset:0L ~length:9 in
        fails "a place that cannot be read" "Input/output error" read;
        Testing.text "another one" (String.make 9 'x') (read ())))

(* A running guest has its disk locked. *)
let test_locked () =
  in_folder (fun _ ->
    make_source "source";
    qemu_img ["convert"; "-f"; "raw"; "-O"; "qcow2"; "source"; "disk"];
    let expected = raw_of "disk" in
    with_server "qemu-nbd" ["--format=qcow2"; "--persistent"; "disk"]
      (fun server ->
        with_reader (open_server server) (fun _ ->
          Testing.is_true "it is locked"
            (not (Process.succeeds "qemu-img" ["info"; "disk"]));
          with_reader (open_image "disk") (check_bytes "locked" expected);
          (* We have no lock, so the guest may do what it wants. *)
          with_reader (open_image "disk") (fun _ -> ()))))

(* What a header names is never read, also if nobody had looked at it. *)
let test_hostile_images () =
  in_folder (fun folder ->
    let victim = Filename.concat folder "victim" in
    let secret = String.concat "" (List.init 32768 (fun _ -> "the victim's bytes")) in
    write_file "victim" (secret ^ String.make (mebibyte - String.length secret) 'v');
    let element format file =
      { Chain.file = Filename.concat folder file; format; block_device = false } in
    let alone format file =
      { Chain.top = element format file; backing = []; found_out = false } in
    let create options file =
      qemu_img (["create"; "-q"; "-f"; "qcow2"] @ options @ [file; "1M"]) in
    let as_raw file =
      with_reader (open_image ~format:Raw file) (check_bytes file (read_file file)) in
    (* Backing files. *)
    create ["-b"; victim; "-F"; "raw"] "backing";
    as_raw "backing";
    with_reader (Reader.open_chain (alone Qcow2 "backing")) (fun reader ->
      Testing.is_true "a backing file of no chain"
        (Reader.read reader ~offset:0L ~length:mebibyte
         = String.make mebibyte '\000'));
    (* Data files. *)
    create ["-o"; "data_file=" ^ victim ^ ".data,data_file_raw=on"] "data";
    as_raw "data";
    fails "a data file" "which is not followed" (fun () -> open_image "data");
    fails "a data file that nobody saw" "Permission denied" (fun () ->
      Reader.open_chain (alone Qcow2 "data"));
    Sys.rename "victim.data" "gone";
    create ["-u"; "-b"; "json:{\"driver\":\"file\",\"filename\":\"" ^ victim ^ "\"}";
            "-F"; "raw"] "json";
    as_raw "json";
    fails "JSON" "which is not a file of this host" (fun () -> open_image "json");
    create ["-u"; "-b"; "nbd://127.0.0.1:1/x"; "-F"; "raw"] "server";
    fails "a server" "which is not a file of this host" (fun () ->
      open_image "server");
    write_file "extent"
      (sprintf "# Disk DescriptorFile\nversion=1\nCID=fffffffe\n\
                parentCID=ffffffff\ncreateType=\"monolithicFlat\"\n\
                RW 2048 FLAT \"%s\" 0\n" victim);
    as_raw "extent";
    fails "an extent" "which is not followed" (fun () -> open_image "extent");
    fails "an extent that nobody saw" "cannot be read" (fun () ->
      Reader.open_chain (alone Vmdk "extent"));
    (* No image at all. *)
    write_file "junk" (random_bytes 100_000);
    fails "junk" ~hint:"damaged" "junk: cannot be read: " (fun () ->
      Reader.open_chain (alone Qcow2 "junk"));
    overlay ~format:"raw" ~over:"victim" "over";
    let chain = Chain.walk "over" in
    Sys.remove "victim";
    Unix.mkfifo "victim" 0o600;
    fails "no file any more" "is another file than a moment ago" (fun () ->
      Reader.open_chain chain);
    Sys.remove "victim";
    fails "gone" "victim: No such file" (fun () -> Reader.open_chain chain))

(* A qemu-nbd that an image has taken over: a script in its place. *)
let with_program code f =
  in_folder (fun folder ->
    make_source "source";
    qemu_img ["convert"; "-f"; "raw"; "-O"; "qcow2"; "source"; "disk"];
    Unix.mkdir "bin" 0o700;
    write_file "bin/qemu-nbd" ("#!/usr/bin/perl\nuse Socket;\n" ^ code);
    Unix.chmod "bin/qemu-nbd" 0o700;
    let path = Filename.concat folder "bin" ^ ":" ^ Sys.getenv "PATH" in
    Process.with_variable "PATH" path (fun () -> f folder))

let accept = "open (S, '+<&=', 3); accept (C, S) or die; $| = 1;\n"

let perl_handshake =
  accept ^ "syswrite (C, 'NBDMAGIC' . pack ('Q>Q>N', 0x00420281861253, 1048576, 1) \
            . (\"\\0\" x 124)); sysread (C, $b, 28);\n"

let test_taken_over () =
  let attempts = {|
my $t;
sub tries { my ($name, $done) = @_; push @done, $name if $done; }
tries ('image', open (F, '<', '/proc/self/fd/4'));
tries ('write', open (F, '+<', '/proc/self/fd/4'));
tries ('other', open (F, '<', "$ENV{VICTIM}"));
tries ('passwd', open (F, '<', '/etc/passwd'));
tries ('memory', open (F, '<', '/proc/' . getppid () . '/mem'));
tries ('environment', open (F, '<', '/proc/' . getppid () . '/environ'));
tries ('descriptor', open (F, '<', '/proc/' . getppid () . '/fd/0'));
tries ('file', open (F, '>', "$ENV{VICTIM}.new"));
tries ('folder', opendir (F, '/'));
tries ('remove', unlink ($ENV{VICTIM}));
tries ('unix', socket (X, AF_UNIX, SOCK_STREAM, 0));
tries ('inet', socket (X, AF_INET, SOCK_STREAM, 0));
tries ('signal', kill (9, getppid ()));
tries ('process', defined ($t = fork));
tries ('fd5', open (F, '<&=', 5));
die 'could: ', join (',', @done), "\n";
|} in
  with_program attempts (fun folder ->
    let victim = Filename.concat folder "source" in
    Process.with_variable "VICTIM" victim (fun () ->
      fails "it can do nothing" "disk: cannot be read: could: image" (fun () ->
        match open_image "disk" with
        | reader -> reader
        | exception Failure.Error { message; _ } ->
           Testing.is_true "nothing else" (not (contains message "image,"));
           Failure.error "%s" message));
    Testing.is_true "the other file is there" (Sys.file_exists victim))

let test_bad_program () =
  let started = Unix.gettimeofday () in
  with_program "sleep 600" (fun _ ->
    fails "it does nothing" "disk: cannot be read: qemu-nbd: no answer in 0.4 s"
      (fun () -> open_image ~seconds:0.4 "disk"));
  let read ?seconds () =
    with_reader (open_image ?seconds "disk") (fun reader ->
      Fun.protect
        ~finally:(fun () ->
          fails "nothing comes then" "it is closed" (fun () ->
            Reader.read reader ~offset:0L ~length:1))
        (fun () -> Reader.read reader ~offset:0L ~length:65536)) in
  with_program (perl_handshake ^ "sleep 600") (fun _ ->
    fails "it stops" "qemu-nbd: no answer in 0.4 s" (read ~seconds:0.4));
  with_program (perl_handshake ^ "die qq(one\\ntwo \\e[31m\\n)") (fun _ ->
    fails "it dies" ~hint:"may be damaged" "disk: cannot be read: two \\x1b[31m"
      read);
  with_program (perl_handshake ^ "$SIG{ABRT} = 'DEFAULT'; require POSIX; \
                                  POSIX::abort ()") (fun _ ->
    fails "it crashes" "was ended by signal 6" read);
  with_program (perl_handshake ^ "print STDERR 'x' x 1000000; sleep 600")
    (fun _ -> fails "it says much" "no answer" (read ~seconds:0.4));
  Testing.is_true "in time" (Unix.gettimeofday () -. started < 20.);
  in_folder (fun folder ->
    qemu_img ["create"; "-q"; "-f"; "qcow2"; "disk"; "1M"];
    Process.with_variable "PATH" folder (fun () ->
      fails "not installed" ~hint:"qemu-utils" "disk: cannot be read: there is no"
        (fun () -> open_image "disk")))

(* Ends. *)

let first_line name =
  let channel = open_in name in
  Fun.protect ~finally:(fun () -> close_in channel) (fun () ->
    try input_line channel with End_of_file -> "")

let children pid =
  List.filter_map int_of_string_opt
    (String.split_on_char ' '
       (first_line (sprintf "/proc/%d/task/%d/children" pid pid)))

(* Whoever is its parent now may not have looked at its end yet. *)
let has_ended pid =
  match first_line (sprintf "/proc/%d/stat" pid) with
  | line -> contains line ") Z "
  | exception Sys_error _ -> true

let rec wait_until name condition tries =
  if condition () then Testing.is_true name true
  else if tries = 0 then Testing.is_true name false
  else (
    Unix.sleepf 0.02;
    wait_until name condition (tries - 1)
  )

let temporary_files () =
  let mine = String.starts_with ~prefix:(Package.name ^ "-") in
  List.filter mine
    (Array.to_list (Sys.readdir (Filename.get_temp_dir_name ())))

let nothing_is_left name =
  Testing.text (name ^ ": processes") ""
    (String.concat " " (List.map string_of_int (children (Unix.getpid ()))));
  Testing.text (name ^ ": files") "" (String.concat " " (temporary_files ()))

let with_disk f =
  in_folder (fun folder ->
    make_source "source";
    qemu_img ["convert"; "-f"; "raw"; "-O"; "qcow2"; "source"; "disk"];
    f folder)

let test_close () =
  with_disk (fun _ ->
    let readers = List.init 3 (fun _ -> open_image "disk") in
    Testing.number "a program for each" 3 (List.length (children (Unix.getpid ())));
    Testing.text "no files" "" (String.concat " " (temporary_files ()));
    List.iter Reader.close readers;
    nothing_is_left "closed";
    let descriptors () = Array.length (Sys.readdir "/proc/self/fd") in
    let before = descriptors () in
    for _ = 1 to 5 do Reader.close (open_image "disk") done;
    for _ = 1 to 5 do
      match open_image ~format:Vmdk "disk" with
      | reader -> Reader.close reader
      | exception Failure.Error _ -> ()
    done;
    Testing.number "no descriptors" before (descriptors ());
    nothing_is_left "again")

(* Another process, which calls a function with an image open, until it ends. *)
let in_child ?(setup = ignore) f =
  let reading, writing = Unix.pipe ~cloexec:true () in
  match Unix.fork () with
  | 0 ->
     Unix._exit (
       try
         setup ();
         let reader = open_image "disk" in
         Files.write_text writing "x";
         f reader
       with e ->
         prerr_endline (Printexc.to_string e);
         99)
  | pid ->
     Unix.close writing;
     let said = Unix.read reading (Bytes.create 1) 0 1 in
     Unix.close reading;
     Testing.number "it is open" 1 said;
     pid

let status_of pid =
  match Process.wait pid with
  | WEXITED status -> status
  | WSIGNALED _ | WSTOPPED _ -> -1

let test_killed () =
  with_disk (fun _ ->
    let check name setup ending =
      let pid = in_child ~setup (fun _ -> Unix.sleep 60; 0) in
      let programs = children pid in
      Testing.number (name ^ ": a program") 1 (List.length programs);
      ending pid;
      ignore (Process.wait pid);
      wait_until (name ^ ": it has ended") (fun () ->
        List.for_all has_ended programs) 250;
      nothing_is_left name in
    check "killed" ignore (fun pid -> Unix.kill pid Sys.sigkill);
    check "terminated" ignore (fun pid -> Unix.kill pid Sys.sigterm);
    let pid = in_child (fun _ -> 0) in
    Testing.number "it forgets to close" 0 (status_of pid);
    nothing_is_left "forgotten")

let test_signal () =
  with_program (perl_handshake ^ "sleep 600") (fun _ ->
    let pid =
      in_child ~setup:Signals.catch (fun reader ->
        match Reader.read reader ~offset:0L ~length:1 with
        | _ -> 1
        | exception Signals.Interrupted _ ->
           Reader.close reader;
           if children (Unix.getpid ()) = [] then 42 else 2) in
    Unix.kill pid Sys.sigterm;
    Testing.number "a signal ends the wait" 42 (status_of pid);
    nothing_is_left "signal")

let nobody = 65534

let become_nobody () =
  Unix.setgroups [||];
  Unix.setgid nobody;
  Unix.setuid nobody;
  Filename.set_temp_dir_name (Filename.concat (Sys.getcwd ()) "tmp")

(* As root, also as somebody who is not. *)
let test_nobody () =
  if Unix.getuid () <> 0 then
    prerr_endline "this is not root: all was tested as this user"
  else
    with_disk (fun folder ->
      let expected = raw_of "disk" in
      Unix.mkdir "tmp" 0o700;
      List.iter (fun name -> Unix.chown name nobody nobody)
        [folder; "disk"; "tmp"];
      Unix.chmod "disk" 0o400;
      Unix.chmod (Filename.dirname folder) 0o711;
      let pid =
        in_child ~setup:become_nobody (fun reader ->
          let size = Int64.to_int (Reader.size reader) in
          let bytes = Reader.read reader ~offset:0L ~length:size in
          if bytes = expected && temporary_files () = [] then 42 else 1) in
      Testing.number "as nobody" 42 (status_of pid))

let () =
  test_raw ();
  if not (Sandbox.file_rules ()) then (
    prerr_endline "skipped: this kernel has no Landlock";
    exit 77
  );
  test_formats ();
  test_backing ();
  test_block_device ();
  test_servers ();
  test_hostile_servers ();
  test_locked ();
  test_hostile_images ();
  test_taken_over ();
  test_bad_program ();
  test_close ();
  test_killed ();
  test_signal ();
  test_nobody ();
  Testing.finish ()
