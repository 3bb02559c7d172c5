(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Times of records, in seconds since 1970.
 *)

open Printf

(* Days since 1970 of a date of the Gregorian calendar, whose years begin in
 * March here, so that a leap day is the last one.
 *)
let days year month day =
  let year = if month <= 2 then year - 1 else year in
  let month = (month + 9) mod 12 in
  (365 * year) + (year / 4) - (year / 100) + (year / 400)
  + (((153 * month) + 2) / 5) + day - 1 - 719468

let of_rfc3339 text =
  let seconds year month day hour minute second =
    let clock = (3600 * hour) + (60 * minute) + second in
    if year < 1970 || month < 1 || month > 12 || day < 1 || day > 31
       || hour > 23 || minute > 59 || second > 60 then None
    else Some (float ((86400 * days year month day) + clock)) in
  try Scanf.sscanf text "%4u-%2u-%2uT%2u:%2u:%2uZ%!" seconds
  with Scanf.Scan_failure _ | Failure _ | End_of_file -> None

let rfc3339 seconds =
  let tm = Unix.gmtime seconds in
  sprintf "%04d-%02d-%02dT%02d:%02d:%02dZ" (tm.tm_year + 1900) (tm.tm_mon + 1)
    tm.tm_mday tm.tm_hour tm.tm_min tm.tm_sec

let text seconds =
  let tm = Unix.gmtime seconds in
  sprintf "%04d-%02d-%02d %02d:%02d UTC" (tm.tm_year + 1900) (tm.tm_mon + 1)
    tm.tm_mday tm.tm_hour tm.tm_min
