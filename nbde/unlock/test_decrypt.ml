(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * What cryptsetup has encrypted is decrypted through the binding, piece by
 * piece, and what is none is an error of its own code.
 *)

(* Before the first key. *)
let () = Clevis.init ()

let plain = String.init 200_704 (fun i -> Char.chr ((i * i lsr 7 + i) land 255))

let write file text =
  let channel = open_out_bin file in
  output_string channel text;
  close_out channel

(* cryptsetup encrypts a file in its place, without the device mapper.  The header
 * gets eight MiB.  Only keyslots with a token of Clevis are fetched.
 *)
let commands = {|
PATH=$PATH:/usr/sbin:/sbin
command -v cryptsetup >/dev/null || exit 77
truncate -s 18M disk.img &&
cryptsetup reencrypt -q --encrypt --type luks2 --reduce-device-size 16M \
  --sector-size 4096 --pbkdf pbkdf2 --pbkdf-force-iterations 1000 -d pass \
  disk.img &&
cryptsetup token import --json-file token disk.img
|}

let make_disk () =
  Sys.chdir (Filename.get_temp_dir_name ());
  write "disk.img" plain;
  write "pass" "one";
  write "token" {|{"type":"clevis","keyslots":["0"],"jwe":{}}|};
  match Sys.command commands with
  | 0 -> ()
  | 77 ->
     print_endline "skipped: no cryptsetup";
     exit 77
  | n -> failwith (Printf.sprintf "exit status %d" n)

let read channel offset length =
  LargeFile.seek_in channel offset;
  really_input_string channel length

let rec load channel luks =
  match Clevis.Luks.next luks with
  | Need { offset; length } ->
     Clevis.Luks.supply luks ~offset (read channel offset length);
     load channel luks
  | Ready -> ()
  | Not_luks -> failwith "no LUKS"

let is_error code text = function
  | Clevis.Error e ->
     e.code = code && Str.string_match (Str.regexp (".*" ^ text)) e.message 0
  | _ -> false

let is_invalid = function Invalid_argument _ -> true | _ -> false

let check channel =
  let luks =
    Clevis.Luks.create ~device:"/dev/sda"
      ~size:(LargeFile.in_channel_length channel) in
  let key = Clevis.Key.of_string "one" in
  let wrong = Clevis.Key.of_string "two" in
  Testing.raises "not loaded" is_invalid (fun () ->
    Clevis.Luks.data_extent luks);
  load channel luks;
  let { Clevis.Luks.start; length; sector } = Clevis.Luks.data_extent luks in
  Testing.number "start" (8 * 1024 * 1024) (Int64.to_int start);
  Testing.number "length" (10 * 1024 * 1024) (Int64.to_int length);
  Testing.number "sector" 4096 sector;
  let decrypt offset n =
    Clevis.Luks.decrypt luks ~offset
      (read channel (Int64.add start offset) n) in
  let fails name code text f = Testing.raises name (is_error code text) f in
  fails "another passphrase" Clevis.Passphrase "does not accept" (fun () ->
    Clevis.Luks.unlock luks ~key:wrong ~keyslot:0);
  fails "another keyslot" Clevis.Header "does not exist" (fun () ->
    Clevis.Luks.unlock luks ~key ~keyslot:3);
  fails "locked" Clevis.System "volume key" (fun () -> decrypt 0L 4096);
  Clevis.Luks.unlock luks ~key ~keyslot:0;
  let same name offset n =
    Testing.is_true name
      (decrypt (Int64.of_int offset) n = String.sub plain offset n) in
  same "a sector" 0 4096;
  same "a later sector" 40_960 4096;
  same "many pieces" 4096 196_608;
  fails "no sectors" Clevis.Limit "whole sectors" (fun () -> decrypt 0L 512);
  fails "nothing" Clevis.Limit "whole sectors" (fun () -> decrypt 0L 0);
  fails "before the start" Clevis.Limit "whole sectors" (fun () ->
    decrypt (-4096L) 4096);
  fails "behind the end" Clevis.Limit "within the data" (fun () ->
    Clevis.Luks.decrypt luks ~offset:length
      (String.make 4096 ' '));
  Clevis.Key.release wrong;
  Clevis.Luks.release luks;
  Testing.raises "released" is_invalid (fun () -> decrypt 0L 4096);
  Testing.raises "released, too" is_invalid (fun () ->
    Clevis.Luks.unlock luks ~key ~keyslot:0);
  Clevis.Key.release key;
  Testing.number "bytes left" 0 ((Clevis.memory ()).used)

let () =
  make_disk ();
  let channel = open_in_bin "disk.img" in
  Fun.protect ~finally:(fun () -> close_in channel) (fun () -> check channel);
  Testing.finish ()
