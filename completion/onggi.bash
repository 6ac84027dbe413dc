# SPDX-License-Identifier: GPL-2.0-or-later
# Bash completion for onggi. The program itself knows what may follow; files where it has nothing to say.

_onggi()
{
    local IFS=$'\n' word words
    # bash splits words at ":" and "=", image names are one word to onggi: join what belongs together.
    words=()
    local i glue=
    for ((i = 1; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if [[ $word == [:=] || $glue ]] && ((${#words[@]})); then
            words[-1]+=$word
        else
            words+=("$word")
        fi
        glue=
        [[ $word == [:=] ]] && glue=1
    done
    COMPREPLY=($("$1" __complete "${words[@]}" 2>/dev/null))
    # What stands before the last ":" is on the line already.
    local whole=${words[-1]}
    if [[ $whole == *:* ]]; then
        local prefix=${whole%"${whole##*:}"}
        COMPREPLY=("${COMPREPLY[@]#"$prefix"}")
    fi
}

complete -o default -F _onggi onggi
