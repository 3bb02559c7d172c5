# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# bash completion for virt-nbde-fleet.  The program itself lists its options, and
# virt-nbde-unlock its formats of keys, so that this file does not lag behind.

_virt_nbde_fleet ()
{
    local current previous words
    current=${COMP_WORDS[COMP_CWORD]}
    previous=${COMP_WORDS[COMP_CWORD - 1]}
    # Readline splits --option=value in three words.
    if [[ $current == = ]]; then
        current=
    elif [[ $previous == = ]]; then
        previous=${COMP_WORDS[COMP_CWORD - 2]}
    fi

    COMPREPLY=()
    case $previous in
        --state | --keys-dir | --tang-keydir)
            compopt -o filenames
            mapfile -t COMPREPLY < <(compgen -d -- "$current")
            return ;;
        --format)
            words='raw qcow2 vmdk vdi vhdx vpc text json junit prometheus html' ;;
        --appliance)
            words='auto always never' ;;
        --exchange)
            words='host appliance' ;;
        --blocksize)
            words='512 4096' ;;
        --keys-format)
            words=$(virt-nbde-unlock --machine-readable 2>/dev/null |
                        sed -n 's,^output-keys-format/,,p') ;;
        -c | --connect | -P | --parallel | --index | --pause | --retries | \
        --timeout | --header | --key | --deadline | --memsize | --smp | \
        --tang-allow | --tang-map | --tang-resolve | --tang-proxy | \
        --tang-timeout | --tang-retries | --tang-connect-timeout | \
        --tang-parallel)
            return ;;
        *)
            case $current in
                --*) words=$("$1" --long-options 2>/dev/null) ;;
                -*) words="$("$1" --short-options 2>/dev/null)
                           $("$1" --long-options 2>/dev/null)" ;;
                *)
                    if [ "$COMP_CWORD" -eq 1 ]; then
                        words='list preflight keys run report'
                    else
                        compopt -o filenames
                        mapfile -t COMPREPLY < <(compgen -f -- "$current")
                        return
                    fi ;;
            esac ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}

complete -F _virt_nbde_fleet -o default virt-nbde-fleet
