# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# bash completion for virt-nbde-unlock.  The tool itself lists its options
# (--long-options, --short-options) and its formats (--machine-readable), so
# that this file does not lag behind.

_virt_nbde_unlock ()
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
        -a | --add | --output-keys | --export-requests | --import-replies | \
        --requests-state | --tang-allow-file | --tang-cacert | --tang-cert | \
        --tang-key | --tang-keydir | --pid-file)
            compopt -o filenames
            mapfile -t COMPREPLY < <(compgen -f -- "$current")
            return ;;
        --mount | --tang-share)
            compopt -o filenames
            mapfile -t COMPREPLY < <(compgen -d -- "$current")
            return ;;
        -o)
            words='allow_other allow_root default_permissions uid= gid= umask=' ;;
        --format)
            words='raw qcow2 vmdk vdi vhdx vpc' ;;
        --appliance)
            words='auto always never' ;;
        --exchange)
            words='host appliance' ;;
        --output-format)
            words='text json xml' ;;
        --blocksize)
            words='512 4096' ;;
        --output-keys-format)
            words=$("$1" --machine-readable 2>/dev/null |
                        sed -n 's,^output-keys-format/,,p') ;;
        -m | -c | --connect | -d | --domain | --header | --key | \
        --deadline | --memsize | --smp | --tang-allow | --tang-map | \
        --tang-resolve | --tang-proxy | --tang-timeout | --tang-retries | \
        --tang-connect-timeout | --tang-parallel)
            return ;;
        *)
            case $current in
                --*) words=$("$1" --long-options 2>/dev/null) ;;
                -*) words="$("$1" --short-options 2>/dev/null)
                           $("$1" --long-options 2>/dev/null)" ;;
                *) return ;;
            esac ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}

complete -F _virt_nbde_unlock -o default virt-nbde-unlock
