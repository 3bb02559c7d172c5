(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The XML of --inspect: its elements and their order, and what a hostile guest
 * may put into it.
 *)

let application : Guestfs.application2 = {
  app2_name = "dash"; app2_display_name = ""; app2_epoch = 0l;
  app2_version = "0.5"; app2_release = ""; app2_arch = "amd64";
  app2_install_path = ""; app2_trans_path = "/ignored"; app2_publisher = "";
  app2_url = ""; app2_source_package = ""; app2_summary = "";
  app2_description = "a\nshell"; app2_spare1 = ""; app2_spare2 = "";
  app2_spare3 = ""; app2_spare4 = "";
}

let filesystem device = {
  Inspect.mountpoint = None; device; inspected_as = device;
  fstype = Some "ext4"; size = Some 1L;
  label = None; uuid = None;
}

let system = {
  Inspect.root = "/dev/sda1"; kind = Some "linux"; arch = None;
  distro = Some "debian"; product = None; product_variant = None; major = 12;
  minor = 5; package_format = Some "deb"; package_management = Some "apt";
  windows_systemroot = None; windows_current_control_set = None;
  hostname = Some ""; osinfo = Some "debian12";
  filesystems = [
    { (filesystem "/dev/sda1") with mountpoint = Some "/" };
    { (filesystem "/dev/sda3") with mountpoint = Some "/a/long" };
    { (filesystem "/dev/mapper/luks-1") with
      inspected_as = "/dev/mapper/sda2_crypt"; mountpoint = Some "/home" };
  ];
  volumes = [
    { (filesystem "/dev/sda1") with label = Some "root"; uuid = Some "u-1" };
    { (filesystem "/dev/sda9") with fstype = None };
  ];
  drive_mappings = []; applications = None; icon = None;
}

let document ?(systems = [system]) () =
  Inspect_xml.document { Inspect.systems; loose = [] }

let head = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"

let test_elements () =
  Testing.text "no operating system" (head ^ "<operatingsystems/>\n")
    (document ~systems:[] ());
  Testing.text "linux" (head ^ {|<operatingsystems>
  <operatingsystem>
    <root>/dev/sda1</root>
    <name>linux</name>
    <distro>debian</distro>
    <major_version>12</major_version>
    <minor_version>5</minor_version>
    <package_format>deb</package_format>
    <package_management>apt</package_management>
    <hostname></hostname>
    <osinfo>debian12</osinfo>
    <mountpoints>
      <mountpoint dev="/dev/sda1">/</mountpoint>
      <mountpoint dev="/dev/mapper/sda2_crypt">/home</mountpoint>
      <mountpoint dev="/dev/sda3">/a/long</mountpoint>
    </mountpoints>
    <filesystems>
      <filesystem dev="/dev/sda1">
        <type>ext4</type>
        <label>root</label>
        <uuid>u-1</uuid>
      </filesystem>
      <filesystem dev="/dev/sda9"/>
    </filesystems>
  </operatingsystem>
</operatingsystems>
|}) (document ())

(* Is this text in the document of a system? *)
let has name system text =
  let found = document ~systems:[system] () in
  let contains =
    match Str.search_forward (Str.regexp_string text) found 0 with
    | (_ : int) -> true
    | exception Not_found -> false in
  Testing.equal name Fun.id text (if contains then text else found)

let test_optional () =
  has "drive letters"
    { system with kind = Some "windows"; drive_mappings = ["C", "/dev/sda2"] }
    {|    <drive_mappings>
      <drive_mapping name="C">/dev/sda2</drive_mapping>
    </drive_mappings>
|};
  has "an application" { system with applications = Some [application] }
    {|    <applications>
      <application>
        <name>dash</name>
        <version>0.5</version>
        <arch>amd64</arch>
        <description>a
shell</description>
      </application>
    </applications>
|};
  has "an epoch"
    { system with
      applications =
        Some [{ application with app2_epoch = 2l; app2_release = "4" }] }
    {|<epoch>2</epoch>
        <version>0.5</version>
        <release>4</release>
|};
  has "no application" { system with applications = Some [] }
    "    <applications/>\n";
  has "an icon" { system with icon = Some (String.make 55 'a') }
    ("<icon>" ^ String.concat "" (List.init 18 (fun _ -> "YWFh"))
     ^ "\nYQ==</icon>\n")

(* Each of these would end the element or make the document ill-formed. *)
let test_hostile () =
  let shown input expected =
    has (Printf.sprintf "%S" input) { system with hostname = Some input }
      ("<hostname>" ^ expected ^ "</hostname>") in
  shown "</hostname><evil/>" "&lt;/hostname&gt;&lt;evil/&gt;";
  shown "&amp;<![CDATA[x]]>" "&amp;amp;&lt;![CDATA[x]]&gt;";
  shown "\027[31m\000\r\127" "\\x1b[31m\\x00\\x0d\\x7f";
  shown "\xff\xc3\xed\xa0\x80" "\\xff\\xc3\\xed\\xa0\\x80";
  shown "\xef\xbf\xbe\xef\xbf\xbf" "\\u{fffe}\\u{ffff}";
  let kept = "gr\xc3\xb6\xc3\x9fe \xf0\x9f\x90\xa7" in
  shown kept kept;
  has "an attribute"
    { system with drive_mappings = ["\" evil=\"\n\001<&", "/dev/sda1"] }
    "name=\"&quot; evil=&quot;\\x0a\\x01&lt;&amp;\">"

let () =
  test_elements ();
  test_optional ();
  test_hostile ();
  Testing.finish ()
