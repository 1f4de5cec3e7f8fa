# The far end of `econtext cp` on a host without Python, where files come from there: by what any POSIX shell and its
# tools do.
#
# sh -c THIS get RESUME PATTERN... First it says what digests it has: "econtext-get sha256" or "econtext-get -". Then
# come words, each a line but for paths and texts, which are as they are and end with a NUL:
#
#     s                                  a pattern stands for several
#     d MODE SECONDS FRACTION PATH       a folder
#     l PATH TARGET                      a link
#     f MODE SECONDS FRACTION SIZE ASK PATH
#                                        a file; with ASK 1 this waits for a line "N DIGEST", what is there already of it, and
#                                        answers "@ N", where it goes on. SIZE - N bytes follow, then a line ". DIGEST",
#                                        or ". !": not all of them could be read
#     e PATH TEXT                        it cannot be read
#     .                                  (for a file's end, and alone:) that is all
#
# What is small is read before its size is said, because what /proc and /sys say of theirs is not true. What becomes
# shorter while it is read is made up with zeros, and said at its end.
LC_ALL=C
export LC_ALL
resume=$1
shift
newline='
'
SMALL=4096 # a page: what /sys says of its files
PATIENCE=5 # seconds: what says it has 0 bytes may wait for more, as /proc/kmsg does
UNSIZED=1048576 # the most of a file that says it has 0 bytes: it is kept in memory

why() { # the last word of a tool's complaint
	text=$(printf '%s\n' "$1" | sed -n '/./{p;q;}')
	text=${text##*: }
	text=${text:-it failed without a word}
}

error() { # FULL TEXT
	printf 'e %s\0%s\0' "$1" "$2"
}

patient() { # COMMAND...: 143 where it waited too long
	"$@" &
	reader=$!
	{
		trap 'kill $!; exit' TERM
		sleep $PATIENCE &
		wait $! && kill $reader
	} >/dev/null 2>&1 4>&- &
	wait $reader
	ended=$?
	kill $! 2>/dev/null
	wait $! 2>/dev/null # its end would interrupt what is printed next: of busybox that is lost then
	return $ended
}

look() { # FULL: mode, seconds, fraction, size
	if s=$(stat -c '%a %Y %s %y' "$1" 2>/dev/null); then
		mode=${s%% *} s=${s#* }
		seconds=${s%% *} s=${s#* }
		size=${s%% *} s=${s#* }
		case $s in
		*.*)
			fraction=${s#*.}
			fraction=${fraction%% *}
			;;
		*) fraction=0 ;;
		esac
	else # a host without stat(1)
		mode=644 seconds=- fraction=0 size=$(patient wc -c "$1" 2>/dev/null) || size=0
		[ ! -x "$1" ] || mode=755
		size=$((${size%"$1"}))
	fi
}

sum_of() { # FULL N: of its first N bytes
	sum=-
	[ "$digests" = - ] || sum=$(head -c "$2" "$1" | sha256sum) || sum=-
	sum=${sum%% *}
}

small() { # FULL PATH: all of it at once, in octal as a printf(1) format has it (with sed(1) in between, busybox was at 1 MiB for 20 s)
	most=$UNSIZED how=patient
	[ "$size" -eq 0 ] || most=$size how=
	octal=$(
		{
			# shellcheck disable=SC2086 # one word, or none
			if $how head -c $((most + 1)) "$1" 2>/dev/null; then printf +; elif [ $? -eq 143 ]; then printf .; else printf -; fi
		} | od -An -v -to1 | tr -d '\n' | tr ' ' '\134'
	)
	case $octal in
	*\\053) octal=${octal%????} ;;
	*\\056)
		error "$1" 'it says 0 bytes, and its end does not come'
		return
		;;
	*)
		err=$(head -c $((most + 1)) "$1" 2>&1 >/dev/null)
		why "$err"
		error "$1" "$text"
		return
		;;
	esac
	size=$((${#octal} / 4))
	if [ "$size" -gt "$most" ] && [ "$most" -eq "$UNSIZED" ]; then
		error "$1" 'it says 0 bytes, and has more than 1 MiB'
		return
	fi
	sum=-
	# shellcheck disable=SC2059 # that it is
	[ "$digests" = - ] || sum=$(printf "$octal" | sha256sum)
	printf 'f %s %s %s %s 0 %s\0' "$mode" "$seconds" "$fraction" "$size" "$2"
	# shellcheck disable=SC2059 # as above
	printf "$octal"
	echo ". ${sum%% *}"
}

large() { # FULL PATH
	printf 'f %s %s %s %s %s %s\0' "$mode" "$seconds" "$fraction" "$size" "$resume" "$2"
	from=0
	if [ "$resume" = 1 ]; then
		read -r n theirs || exit 1
		if [ "$n" -gt 0 ] && [ "$n" -le "$size" ]; then
			sum_of "$1" "$n"
			[ "$sum" = - ] || [ "$sum" != "$theirs" ] || from=$n
		fi
		echo "@ $from"
	fi
	short=$({
		{
			if [ "$from" -eq 0 ]; then head -c "$size" "$1"; else tail -c +$((from + 1)) "$1" | head -c $((size - from)); fi || echo short >&3
			cat /dev/zero
		} 2>/dev/null | head -c $((size - from)) >&4
	} 3>&1)
	now=$(wc -c <"$1" 2>/dev/null) || now=0
	sum_of "$1" "$size"
	[ ! "$short" ] && [ "$((now))" -ge "$size" ] || sum=!
	echo ". $sum"
}

file() { # FULL PATH
	if ! err=$( (: <"$1") 2>&1); then
		why "$err"
		error "$1" "$text"
		return
	fi
	look "$1"
	if [ "$size" -le $SMALL ]; then small "$1" "$2"; else large "$1" "$2"; fi
}

kind() { # FULL: of what is sent, into $kind
	kind=
	if [ -L "$1" ] || [ -f "$1" ]; then kind=f; elif [ -d "$1" ]; then kind=d; fi
}

twice() { # FULL PATH: as 'is_twice' of econtext_sources.py; 0 also where it has said that this would replace another
	case $names in
	*"/${2%%/*}/"* | */./*) ;; # of one source the names are its own
	*) return 1 ;;
	esac
	i=0
	while [ $i -lt $tops ]; do
		i=$((i + 1))
		eval "name=\$name_$i first=\$full_$i"
		case $2 in
		"$name") ;;
		"$name"/*) first=$first${2#"$name"} ;;
		*)
			[ "$name" = . ] || continue
			first=$first/$2
			;;
		esac
		kind "$first"
		[ "$kind" ] || continue
		if [ ! -L "$1" ] && [ ! -L "$first" ] && [ "$1" -ef "$first" ] 2>/dev/null; then return 0; fi
		was=$kind
		kind "$1"
		[ "$was$kind" != dd ] || continue
		error "$1" "it would replace $first, which comes to the same name"
		return 0
	done
	return 1
}

tree() { # FULL PATH
	if [ "$names" ] && twice "$1" "$2"; then return; fi
	if [ -L "$1" ]; then
		link=$(readlink "$1" && echo x) || link=
		printf 'l %s\0%s\0' "$2" "${link%"$newline"x}"
	elif [ -d "$1" ]; then
		if [ ! -r "$1" ] || [ ! -x "$1" ]; then
			error "$1" 'Permission denied'
			return
		fi
		look "$1"
		printf 'd %s %s %s %s\0' "$mode" "$seconds" "$fraction" "$2"
		for x in "$1"/.[!.]* "$1"/..?* "$1"/*; do
			if [ ! -e "$x" ] && [ ! -L "$x" ]; then continue; fi
			name=$2/${x##*/}
			tree "$x" "${name#./}"
		done
	elif [ -f "$1" ]; then
		file "$1" "$2"
	elif [ -e "$1" ]; then
		error "$1" 'neither a file nor a folder'
	else
		why=$( (: <"$1") 2>&1) # it may be that one cannot look
		why=${why##*: }
		case $why in
		'' | [Nn]'o such file'* | *"$1"*) why='No such file or directory' ;;
		esac
		error "$1" "$why"
	fi
}

home() { # as expanduser(3) would, if there were one: PATTERN into $x
	x=$1
	case $x in
	\~ | \~/*) x=$HOME${x#?} ;;
	\~*)
		case ${x%%/*} in
		*[!A-Za-z0-9._~-]*) ;;
		*)
			rest=${x#"${x%%/*}"}
			eval "x=${x%%/*}"
			x=$x$rest
			;;
		esac
		;;
	-*) x=./$x ;;
	esac
}

whole_name() { # FULL: its last name, into $name; 'a/.' is '.', the contents; '..' and '/' are what they lead to
	name=$1
	while case $name in ?*/) ;; *) false ;; esac do name=${name%/}; done
	name=${name##*/}
	case $name in
	'' | ..)
		name=$(cd "$1" && pwd -P && echo x)
		name=${name%"$newline"x}
		name=${name##*/}
		name=${name:-root}
		;;
	esac
}

top() { # FULL
	whole_name "$1"
	full=$1
	if [ -L "$full" ] && [ -e "$full" ]; then
		full=$(readlink -f "$full" && echo x)
		full=${full%"$newline"x}
	fi
	top_name=$name
	tree "$full" "$name"
	tops=$((tops + 1))
	eval "full_$tops=\$full name_$tops=\$top_name"
	names=${names:-/}$top_name/
}

digests=-
[ "$(printf '' | sha256sum 2>/dev/null)" ] && digests=sha256
exec 4>&1
echo "econtext-get $digests"
patterns=$# tops=0 names=
for pattern in "$@"; do
	home "$pattern"
	if [ -e "$x" ] || [ -L "$x" ]; then
		set -- "$x"
	else
		IFS=
		# shellcheck disable=SC2086
		set -- $x
		unset IFS
	fi
	if [ "$patterns" -eq 1 ] && [ $# -gt 1 ]; then echo s; fi
	for x in "$@"; do
		case ${pattern##*/}-${x##*/} in
		.-. | ..-..) ;;
		*-. | *-..) continue ;; # some shells' .* has them
		esac
		top "$x"
	done
done
echo .
