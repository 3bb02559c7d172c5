#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# The recipes of virt-nbde-unlock-recipes(7) work as they stand there.  Each is
# taken out of the page and executed; a recipe that nothing executes fails the
# test.  (Those that convert a guest are executed by test-convert.sh.)
#
# needs: appliance
# slow
# timeout: 1800

. "$(dirname "$0")/../lib/functions.sh"
. "$top_srcdir/tests/lib/recipes.sh"
requires_tang
requires_appliance
requires curl fusermount jq rsync virt-cat virt-customize virt-inspector
get_guests part-lvm

start_tang one
start_tang away
recipes_servers one away
# shellcheck disable=SC2154
bind part-lvm root tang "$recipes_pin"
mv part-lvm.img guest.img
sha256sum guest.img > sum
recipe_names > names || fail "commands without a name: $(cat names)"

# The recipe worked, and the guest is as it was.
#   cooked RECIPE
cooked ()
{
  run_recipe "$1"
  assert_status 0
  sha256sum --quiet -c sum || fail "recipe $1 changed the guest"
}

cooked inspector
grep -qF '<hostname>part-lvm.example.com</hostname>' guest.xml ||
  fail "inspector: $(cat guest.xml)"

cooked cat
assert_stdout_matches '^/dev/mapper/demo-home /home ext4 defaults 0 2$'

cooked customize
run_command cmp guest.img copy.img
[ "$status" -eq 1 ] || fail 'the copy was not changed'
run_command "$tmp/recipes.bin/virt-nbde-unlock" --format=raw -a copy.img -i
assert_stdout_matches '^ +Hostname: +copy\.example\.com$'
rm copy.img

# All that the batch tells apart.  The server of one guest is away.
mkdir guests
end_server away
bound_piece opens.luks tang "$recipes_pin"
bound_piece away.luks tang \
  "$(jq -c '.url = "http://away.example.com"' <<< "$recipes_pin")"
bound_piece refused.luks tang "$recipes_pin"
edit_jwe refused.luks '.clevis.tang.adv.keys = []'
piece bare.luks
for name in opens away refused bare; do
  disk_of guests/$name.img $name.luks
done
ln -s nothing guests/none.img
# Nobody is to wait for a minute.
export PAUSE=0
run_recipe batch
assert_status 0
assert_stdout_has 'guests/opens.img: opens'
assert_stdout_has 'guests/away.img: no server could be reached'
assert_stdout_has 'guests/refused.img: a bound device does not open'
assert_stdout_has 'guests/bare.img: not bound'
assert_stdout_has 'guests/none.img: error'
assert_equal 3 "$(grep -c away.img recipes.calls)" 'attempts on the guest of status 4'
assert_equal 1 "$(grep -c opens.img recipes.calls)" 'attempts on the guest that opens'
rm -r guests

cooked rsync
assert_equal part-lvm.example.com "$(cat backup-of-etc/hostname)" \
  'the copied file'
assert_no_file mnt

cooked guestfish
assert_equal part-lvm.example.com "$(cat "$out")" 'the output'

cooked df
assert_stdout_matches '^/dev/.*% .*/home$'

# Up to what would be sent: kubectl keeps what it is given.
cat > "$tmp/recipes.bin/kubectl" <<'END'
#!/bin/sh
[ "$1 $2 $3 $4 $5 $6" = 'create secret generic guest-keys -n forklift' ] &&
  [ "${7%%/*}" = --from-file=0= ] && [ $# -eq 7 ] &&
  cat "/${7#*=0=/}" > secret
END
chmod +x "$tmp/recipes.bin/kubectl"
cooked forklift
get_header guest.img "$(luks_field part-lvm root 4)" header.luks
cryptsetup open --test-passphrase --key-file secret --key-slot 1 header.luks ||
  fail 'what kubectl got does not open the guest'

# Every recipe was executed, here or where conversions are.
while read -r name; do
  case " $executed $conversions " in
    *" $name "*) ;;
    *) fail "the recipe $name is executed by no test" ;;
  esac
done < names
