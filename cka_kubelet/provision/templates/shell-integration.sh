# Shell integration: the OSC 633 marks that terminals such as VS Code's understand. They tell where a command
# begins, what it was and how it ended. See https://code.visualstudio.com/docs/terminal/shell-integration
if [ -n "${BASH_VERSION-}" ] && [ -z "${__marks-}" ] && [[ $- == *i* ]]; then
    __marks=1
    unset HISTCONTROL HISTIGNORE
    HISTFILE=@HISTORY@
    __mark_escape() { local s=${1//\\/\\\\}; s=${s//;/\\x3b}; printf %s "${s//$'\n'/\\x0a}"; }
    __mark_start() {
        local line
        line=$(HISTTIMEFORMAT='' builtin history 1)
        [[ $line =~ ^\ *[0-9]+\*?\ +(.*)$ ]] && line=${BASH_REMATCH[1]}
        printf '\e]633;P;Host=%s\a\e]633;E;%s\a\e]633;C\a' @NODE@ "$(__mark_escape "$line")"
    }
    __mark_end() { local status=$?; printf '\e]633;D;%s\a\e]633;P;Host=%s\a\e]633;A\a' "$status" @NODE@; return "$status"; }
    PS0='$(__mark_start)'
    PROMPT_COMMAND=__mark_end
    PS1+='\[\e]633;B\a\]'
fi
