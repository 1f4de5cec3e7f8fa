# shellcheck shell=bash
# Completion of econtext for bash; installed as share/bash-completion/completions/econtext, or `source` it. Zsh too can
# source it, behind `autoload -U compinit bashcompinit; compinit; bashcompinit`.
#
# The program says everything itself: its commands and options in its help, nodes and groups in `topo show`, which
# connects nowhere. So there is no table here that could be wrong, and a topology with an error completes nothing.
#
# Bash hands over words that are cut at `:`, `=` and `@`, which NODE:USER, --word=VALUE and @group have in them. They are
# put together again by the line, and from what is answered goes what stands before the last of these characters.
#
# Zsh hands over whole words, and wants whole words; it runs this as sh, but wants $ before the offsets in ${...},
# keeps the names words and commands for itself, and has no compopt: there a blank at its end says that an answer is whole.

# The words before the cursor, uncut: typed; the last of them: cur.
_econtext_words() {
	local line=${COMP_LINE:0:$COMP_POINT} i last word blanks
	typed=()
	for ((i = 0; i <= COMP_CWORD; i++)); do
		word=${COMP_WORDS[i]}
		blanks=${line%%[![:blank:]]*}
		line=${line:${#blanks}}
		if ((i == COMP_CWORD)); then
			word=$line # what stands behind the cursor is not asked about
		fi
		line=${line#"$word"}
		if ((${#typed[@]} == 0)) || [[ $blanks ]]; then
			typed+=("$word")
		else
			typed[last]+=$word
		fi
		last=$((${#typed[@]} - 1))
	done
	cur=${typed[last]}
}

# Options of the command, a line each: -L or -, --word, and what its value is called, if it takes one.
_econtext_options() {
	"$program" help "${command[@]}" 2>/dev/null | sed -n \
		-e 's/^  \(-.\), \(--[a-z-]*\) \([^ ]*\) .*/\1 \2 \3/p' -e 's/^      \(--[a-z-]*\) \([^ ]*\) .*/- \1 \2/p'
}

# What the value of the option $1 is called; fails when it takes none. Of letters in a bundle the last may take one.
_econtext_value_of() {
	local letter word value
	while read -r letter word value; do
		case $1 in
		--*) [[ $1 == "$word" ]] ;;
		*) [[ $letter != - && $1 == -*"${letter#-}" ]] ;;
		esac && [[ $value ]] && echo "$value" && return
	done <<<"$options"
	return 1
}

# Nodes and NODE:USER of the topology in effect; with $1 groups: groups.
_econtext_names() {
	local script='/^[^ ]/p'
	[[ $1 != groups ]] || script='s/^  groups  *\(.*[^ ]\)  *[^ ]*:[0-9]*:[0-9]*$/\1/p'
	"$program" topo show ${topology:+"--topology"} ${topology:+"$topology"} 2>/dev/null | sed -n "$script" | tr -d , | tr ' ' '\n' | sort -u
}

# Answers those of the words $2 that begin with $1, behind $3, with $4 at their ends.
_econtext_answer() {
	local word
	while read -r word; do
		[[ ! $word || $word != "$1"* ]] || COMPREPLY+=("$3$word$4")
	done <<<"$2"
}

# The last item of a list of targets.
_econtext_targets() {
	local item=${1##*,} before
	before=${1%"$item"}
	if [[ $item == !* ]]; then
		before+=!
		item=${item#!}
	fi
	if [[ $item == @* ]]; then
		_econtext_answer "${item#@}" "$(_econtext_names groups)" "$before@" "$2"
	else
		_econtext_answer "$item" "$(_econtext_names)" "$before" "$2"
	fi
}

# How the answers are to be taken: filenames or nospace.
_econtext_manner() {
	manner+=" $1"
	[[ ${ZSH_VERSION-} ]] || compopt -o "$1" 2>/dev/null
}

# Files (-f), folders (-d) or commands (-c) that begin with $2. The compgen of zsh looks at its own word instead of $2. No ~ there: zsh
# would quote it in what we answer.
_econtext_files() {
	local word begin=$2
	if [[ ${ZSH_VERSION-} && $1 != -c ]]; then
		eval 'begin=${(Q)begin}' # comes with what quotes it
		for word in "$begin"*; do
			[[ ! -e $word || ($1 == -d && ! -d $word) ]] || COMPREPLY+=("$word")
		done
	else
		while IFS= read -r word; do
			COMPREPLY+=("$word")
		done < <(compgen "$1" -- "$2")
	fi
	[[ $1 == -c ]] || _econtext_manner filenames
}

# A value that is called $1, of which $2 is there.
_econtext_value() {
	case $1 in
	TARGETS) _econtext_targets "$2" ;;
	GROUPS) _econtext_answer "${2##*,}" "$(_econtext_names groups)" "${2%"${2##*,}"}" ;;
	NODE*) _econtext_answer "$2" "$(_econtext_names)" ;;
	FILE) _econtext_files -f "$2" ;;
	DIR) _econtext_files -d "$2" ;;
	esac
}

# Argument number $1 of the command, from 0.
_econtext_argument() {
	case ${command[0]}/$1 in
	exec/0) _econtext_files -c "$cur" ;;
	connect/0) _econtext_answer "$cur" "$(_econtext_names)" ;;
	connect/* | tunnel/* | socks/* | tree/* | trace/* | preamble/*) ;;
	topo/*) [[ ${command[1]} != check ]] || _econtext_files -f "$cur" ;;
	cp/*)
		[[ $cur != *:[/.~]* ]] || return # over there
		[[ $cur == [./~]* ]] || _econtext_targets "$cur" :
		[[ ${#COMPREPLY[@]} == 0 ]] || _econtext_manner nospace
		_econtext_files -f "$cur"
		;;
	*) _econtext_files -f "$cur" ;;
	esac
}

# What stands behind the command: words from number $1 on.
_econtext_rest() {
	local i arguments=0 ended='' wants='' options topology=''
	options=$(_econtext_options)
	[[ $options ]] || return # no such command
	for ((i = $1; i < ${#typed[@]} - 1; i++)); do
		if [[ $wants ]]; then
			[[ ${typed[i - 1]} != --topology ]] || topology=${typed[i]/#\~\//$HOME/}
			wants=''
		elif [[ $ended || ${typed[i]} != -?* ]]; then
			ended=1
			arguments=$((arguments + 1))
		elif [[ ${typed[i]} == -- ]]; then
			ended=1
		elif [[ ${typed[i]} == --topology=* ]]; then
			topology=${typed[i]#*=}
		elif [[ ${typed[i]} != --*=* ]]; then
			wants=$(_econtext_value_of "${typed[i]}")
		fi
	done
	if [[ $wants ]]; then
		_econtext_value "$wants" "$cur"
	elif [[ ! $ended && $cur == --*=* ]]; then
		wants=$(_econtext_value_of "${cur%%=*}")
		[[ $COMP_WORDBREAKS == *=* ]] || before=${cur%%=*}=
		cur=${cur#*=}
		_econtext_value "$wants" "$cur"
	elif [[ ! $ended && $cur == -* ]]; then
		_econtext_answer "$cur" "$(tr ' ' '\n' <<<"$options" | grep '^-.')"
	else
		_econtext_argument "$arguments"
	fi
}

_econtext() {
	local typed cur program=${1/#\~/$HOME} command=() known i text before='' manner=''
	COMPREPLY=()
	_econtext_words
	known=$("$program" help 2>/dev/null | sed -n 's/^  \([a-z-][a-z-]*\( [a-z][a-z]*\)\{0,1\}\)  .*/\1/p')
	[[ $known ]] || return
	if [[ ${#typed[@]} == 2 || (${typed[1]} == help && ${#typed[@]} == 3) ]]; then
		_econtext_answer "$cur" "$(cut -d ' ' -f 1 <<<"$known" | sort -u)"
	elif [[ ${typed[1]} == topo && ${#typed[@]} == 3 ]]; then
		_econtext_answer "$cur" "$(sed -n 's/^topo //p' <<<"$known")"
	elif [[ ${typed[1]} != help && ${typed[1]} != -* ]]; then
		i=2
		[[ ${typed[1]} != topo ]] || i=3
		command=("${typed[@]:1:$((i - 1))}")
		_econtext_rest "$i"
	fi
	text=$cur
	[[ $COMP_WORDBREAKS != *:* ]] || text=${text##*:}
	[[ $COMP_WORDBREAKS != *=* ]] || text=${text##*=}
	[[ $COMP_WORDBREAKS != *@* || $text != *@* ]] || text=@${text##*@} # bash takes this one with what follows it
	_econtext_join "${cur%"$text"}"
}

# Makes the answers what the shell will have: without $1, which it has cut off, or behind what it has not.
_econtext_join() {
	local i word
	for ((i = 0; i < ${#COMPREPLY[@]}; i++)); do
		word=${COMPREPLY[i]}
		if [[ ! ${ZSH_VERSION-} ]]; then
			word=${word#"$1"}
		elif [[ $manner == *filenames* && -d $word ]]; then
			word+=/
		elif [[ $manner != *nospace* || $word != *: ]]; then
			word+=' '
		fi
		COMPREPLY[i]=$before$word
	done
}

if [[ ${ZSH_VERSION-} ]]; then
	complete -o nospace -F _econtext econtext
else
	complete -F _econtext econtext
fi
