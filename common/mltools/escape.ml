(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Strings from disks and servers, made safe to show.
 *)

type piece =
  | Char of int * int           (* code point, bytes *)
  | Invalid of char             (* a byte that is not UTF-8 *)

(* The least code point that may be written in so many bytes, and the bits of
 * the first byte: shorter forms, surrogates and what is beyond Unicode are
 * not UTF-8 (RFC 3629 section 3).
 *)
let sequence lead =
  if lead < 0x80 then Some (1, lead, 0)
  else if lead land 0xe0 = 0xc0 then Some (2, lead land 0x1f, 0x80)
  else if lead land 0xf0 = 0xe0 then Some (3, lead land 0x0f, 0x800)
  else if lead land 0xf8 = 0xf0 then Some (4, lead land 0x07, 0x10000)
  else None

let piece_at s i =
  let continuation code j =
    match code with
    | None -> None
    | Some code ->
       if j >= String.length s then None
       else
         let byte = Char.code s.[j] in
         if byte land 0xc0 <> 0x80 then None
         else Some (code lsl 6 lor (byte land 0x3f)) in
  match sequence (Char.code s.[i]) with
  | None -> Invalid s.[i]
  | Some (bytes, lead, least) ->
     let rest = List.init (bytes - 1) (fun n -> i + n + 1) in
     match List.fold_left continuation (Some lead) rest with
     | Some code when code >= least && Uchar.is_valid code -> Char (code, bytes)
     | Some _ | None -> Invalid s.[i]

let fold f acc s =
  let rec loop acc i =
    if i >= String.length s then acc
    else
      match piece_at s i with
      | Char (_, bytes) as piece ->
         loop (f acc piece (String.sub s i bytes)) (i + bytes)
      | Invalid _ as piece -> loop (f acc piece (String.sub s i 1)) (i + 1) in
  loop acc 0

let control code = code < 0x20 || (code >= 0x7f && code < 0xa0)

(* Characters that turn the direction of the text, end a line, have no width
 * or only mark up other characters.
 *)
let unseen code =
  let between first last = code >= first && code <= last in
  code = 0xad || code = 0x61c || code = 0x180e || code = 0xfeff
  || between 0x200b 0x200f || between 0x2028 0x202e || between 0x2060 0x206f
  || between 0xfff9 0xfffb || between 0xe0000 0xe007f

let escape_with keep s =
  let buf = Buffer.create (String.length s) in
  let add () piece bytes =
    match piece with
    | Invalid byte -> Printf.bprintf buf "\\x%02x" (Char.code byte)
    | Char (code, _) when keep code -> Buffer.add_string buf bytes
    | Char (code, _) when code < 0x80 -> Printf.bprintf buf "\\x%02x" code
    | Char (code, _) -> Printf.bprintf buf "\\u{%x}" code in
  fold add () s;
  Buffer.contents buf

let text = escape_with (fun code -> not (control code || unseen code))

let lines =
  let newline = Char.code '\n' in
  escape_with
    (fun code -> code = newline || not (control code || unseen code))

let utf8 = escape_with (fun _ -> true)

(* XML 1.0 has no way to write these (section 2.2), or its readers change them
 * (section 2.11), or they are controls all the same.
 *)
let not_in_xml code = control code || code = 0xfffe || code = 0xffff

let xml_attribute = escape_with (fun code -> not (not_in_xml code))

let xml =
  let kept = [Char.code '\n'; Char.code '\t'] in
  escape_with (fun code -> List.mem code kept || not (not_in_xml code))

let width s = fold (fun n _ _ -> n + 1) 0 s
