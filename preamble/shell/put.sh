# The far end of `econtext cp` on a host without Python: files to there, by what any POSIX shell and its tools do.
#
# sh -c THIS put DEST SINGLE RESUME. First it says what digests it has: "econtext-put sha256" or "econtext-put -". Then
# it takes words, a line each; a path is relative, and what is not plain in it is \0 and three octal digits:
#
#     d MODE TIME STAMP PATH                 a folder, which stays 0700 until `t`; "." is DEST itself
#     l PATH TARGET                          a link
#     f MODE TIME STAMP SIZE OFFSET PATH     a file, and then:
#     p N                                    N bytes of it follow
#     h N                                    a hole
#     . DIGEST                               its end; "-" for DIGEST: it could not be read to its end
#     t MODE TIME STAMP PATH                 a folder's own mode and time; not answered
#     ? SIZE PATH                            what is there of it? (with RESUME)
#
# TIME is seconds of the epoch with a fraction, STAMP the same as touch -t wants it, in UTC. Answers, in their order:
# "+", or "- HOW PLACE TEXT" (HOW as econtext_files.py says, PLACE in octal); to `?`: "= N DIGEST", N -1 for all of it.
#
# A file is written beside its place, checked, and renamed. Whose folder that is may make a link of its name meanwhile: so it
# is opened once, and what is written, read and set is by that descriptor, 5, where there is /proc. Below DST no link is
# followed; between the look and the use of a folder's name there is a moment, though, as a shell has no openat(2). If this shell is killed, a process that waits for its end in
# a session of its own takes away what it has left.
# shellcheck disable=SC3013 # [ -ef ]: where it is not known, /proc is not used
LC_ALL=C
export LC_ALL
dest=$1 single=$2 resume=$3
now='' bad='' place='' missing='' broken='' made='' part='' held='' whole='' hollow='' at=0
newline='
'

why() { # the last word of a tool's complaint
	text=$(printf '%s\n' "$1" | sed -n '/records in/d;/records out/d;/copied/d;/./{p;q;}')
	text=${text##*: }
	text=${text:-it failed without a word}
}

no() { # HOW TEXT
	octal=$(printf %s "$place" | od -An -v -to1 | tr -d ' \n')
	echo "- $1 ${octal:--} $2" >&3
}

plain() { # what is no plain path as it came: into $path
	path=$1
	case $1 in
	*\\*)
		path=$(printf '%bx' "$1")
		path=${path%x}
		;;
	esac
}

tilde() { # as expanduser(3) would, if there were one
	case $dest in
	\~ | \~/*) dest=$HOME${dest#?} ;;
	\~*)
		case ${dest%%/*} in
		*[!A-Za-z0-9._~-]*) ;;
		*)
			rest=${dest#"${dest%%/*}"}
			eval "dest=${dest%%/*}"
			dest=$dest$rest
			;;
		esac
		;;
	-*) dest=./$dest ;;
	esac
}

folder_error() { # why there can be nothing in this folder
	if [ -d "$1" ]; then
		broken=
	elif [ -e "$1" ] || [ -L "$1" ]; then
		broken='Not a directory'
	else
		broken=${2:-$( (: <"$1") 2>&1)} # it may be that one cannot look
		broken=${broken##*: }
		case $broken in
		'' | [Nn]'o such file'* | *"$1"*) broken='No such file or directory' ;;
		esac
	fi
}

target() { # a first part of a path comes into $dest if that is a folder, else it is $dest
	into=
	tilde
	case $dest in */) into=1 ;; esac
	if [ -d "$dest" ] || [ "$single" = 0 ]; then into=1; fi
	broken_at=$dest
	while case $dest in ?*/) ;; *) false ;; esac do dest=${dest%/}; done
	if [ "$into" ]; then
		text=
		if [ -d "$dest" ]; then :; elif err=$(mkdir "$dest" 2>&1); then made=1; else why "$err"; fi
		folder_error "$dest" "$text"
	else
		if [ -L "$dest" ] && [ -e "$dest" ]; then
			dest=$(readlink -f "$dest" && echo x)
			dest=${dest%"$newline"x}
		fi
		case $dest in
		/*/*) broken_at=${dest%/*} ;;
		/*) broken_at=/ ;;
		*/*) broken_at=${dest%/*} ;;
		*) broken_at=. ;;
		esac
		folder_error "$broken_at"
	fi
}

find_place() { # PATH as it came; its answer is given here if there is none
	plain "$1"
	place=$path
	if [ "$broken" ]; then
		place=$broken_at
		bad="1 $broken"
		return
	fi
	case $path in
	"${missing:-/}"*)
		bad='2 its folder is not there'
		return
		;;
	esac
	case $what$into/$path/ in
	[dt]1/./)
		place=$dest
		return
		;;
	*/../* | */./* | *//*)
		bad='0 a path that leads out of the target'
		return
		;;
	esac
	if [ "$into" ]; then
		place=$dest/$path
	else
		case $path in
		*/*) place=$dest/${path#*/} ;;
		*) place=$dest ;;
		esac
	fi
	rest=${place#"$dest"}
	[ "$into" ] || rest=/$rest
	rest=${rest#/} way=$dest
	while case $rest in */*) ;; *) false ;; esac do
		[ ! "${rest%%/*}" ] || way=$way/${rest%%/*}
		rest=${rest#*/}
		[ ! -L "$way" ] || {
			place=$way bad="0 $is_link"
			return
		}
	done
}

find_part() { # EXTRA
	case $place in
	*/*) part=${place%/*}/ ;;
	*) part= ;;
	esac
	name=${place##*/}
	if [ ${#name} -gt 50 ]; then # bytes or characters, as the shell likes
		name=$(printf '%.200sx' "$name")
		name=${name%x}
	fi
	part=$part.$name.econtext-$1
}

watch() { # tells the other process what to take away: $1, or nothing
	[ "$resume" = 1 ] || case $1 in *"$newline"*) echo ;; *) printf '%s\n' "$1" ;; esac
}

size_of() {
	size=$(wc -c <"$1" 2>/dev/null) || size=0
	size=$((size))
}

sum_of() { # FILE N: of its first N bytes
	sum=-
	[ "$digests" = - ] || sum=$(head -c "$2" "$1" | sha256sum) || sum=-
	sum=${sum%% *}
}

truncate_at() { # N
	by=$part
	[ ! "$proc" ] || by=/proc/self/fd/1
	err=$(dd if=/dev/null of="$by" bs=1 count=0 seek="$1" 2>&1 >&5) || { why "$err" && bad="0 $text"; }
}

is_held() { # FILE: this name is, itself, what 5 is of (without stat(1) in two looks)
	if [ ! "$proc" ]; then
		[ ! -L "$1" ]
	elif [ "$stats" ]; then
		[ "$(stat -c %d:%i "$1" 2>/dev/null)" = "$(stat -L -c %d:%i $proc <&5)" ]
	else
		[ ! -L "$1" ] && [ "$1" -ef /proc/self/fd/5 ]
	fi
}

hold() { # FILE, which is there
	{ command exec 5<"$1"; } 2>/dev/null && is_held "$1"
}

hold_part() { # makes it, or with RESUME takes what is there; a link is never followed to be written
	if [ -e "$part" ] && [ ! -f "$part" ]; then # a pipe would be waited for
		bad='0 what is there is neither a file nor a link'
		return
	fi
	umask 077
	set -C
	{ command exec 5>"$part"; } 2>/dev/null || {
		if [ "$resume" != 1 ] || [ ! -f "$part" ]; then
			err=$( (: >"$part") 2>&1)
			why "$err"
			bad="0 $text"
		elif ! hold "$part" || [ ! -O "$part" ] || { [ "$stats" ] && [ "$(stat -L -c %h "${proc:-$part}" <&5)" -ne 1 ]; }; then
			bad='0 what is there of an earlier time is not a file of your own'
		fi
	}
	set +C
	held=${proc:+/proc/self/fd/5}
	held=${held:-$part}
	if [ ! "$bad" ] && [ ! -f "$held" ]; then bad='0 what is there is neither a file nor a link'; fi
	if [ ! "$bad" ]; then { command exec 5>>"$held"; } 2>/dev/null || bad='0 Permission denied'; fi
	umask "$mask"
}

goes_on() { # a part that nobody writes is newer than what has its place: that is what it was to replace, then
	[ -f "$part" ] && [ ! -L "$part" ] &&
		([ "$(stat -c %Z "$part")" -gt "$(stat -c %Z "$place")" ] && exec 4<"$part" && own && [ ! "$bad" ]) 2>/dev/null
}

have() { # SIZE PATH
	bad=
	find_place "$2"
	if [ ! "$bad" ]; then
		find_part part
		size=0
		[ ! -f "$place" ] || size_of "$place" # a pipe would be waited for
		most=$1 first=$place second=$part
		[ "$size" -ne "$1" ] || most=$(($1 - 1)) # all of it would be what has its place
		if goes_on; then first=$part second=$place; fi
		for there in "$first" "$second"; do
			if [ ! -f "$there" ] || [ -L "$there" ]; then continue; fi
			size_of "$there"
			[ "$size" -gt 0 ] || continue
			if [ "$there" = "$place" ]; then
				[ "$size" -eq "$1" ] || continue
				sum_of "$there" "$1"
				echo "= -1 $sum" >&3
			else
				[ "$size" -le "$most" ] || size=$most
				[ "$size" -gt 0 ] || continue
				sum_of "$there" "$size"
				echo "= $size $sum" >&3
			fi
			return
		done
	fi
	echo '= 0 -' >&3
}

own() { # 4 is of a part, and a part is one copy's alone, where there is flock(1): what another writes into it would be in the file
	[ "$locks" ] || return 0
	err=$(flock -n 4 2>&1) || [ "$err" ] || bad=1 # with a word of its own: the file system has no locks
	if [ "$bad" ] || [ ! -f "$part" ]; then bad='0 another copy to this name is under way'; fi
}

begin() { # MODE TIME STAMP SIZE OFFSET PATH
	mode=$1 time=$2 stamp=$3 wanted=$4 at=$5 now=file bad='' whole='' hollow='' part='' held=''
	find_place "$6"
	[ ! "$bad" ] || return
	if [ -d "$place" ]; then
		bad='0 Is a directory'
	elif [ -e "$place" ] && [ ! -f "$place" ]; then
		bad='0 what is there is neither a file nor a link'
	fi
	[ ! "$bad" ] || return
	if [ "$resume" = 1 ]; then
		find_part part
		size_of "$place"
		if [ "$at" -eq "$wanted" ] && [ "$at" -gt 0 ] && [ -f "$place" ] && [ ! -L "$place" ] && [ "$size" -eq "$at" ]; then
			whole=1 part=$place held=$place
			hold "$place" || bad='0 it has become another meanwhile'
			[ ! "$proc" ] || held=/proc/self/fd/5
			return
		fi
		if [ -L "$part" ] || { [ -e "$part" ] && [ ! -f "$part" ]; }; then
			bad='0 what is there of an earlier time is not a file of your own' part=
			return
		fi
	else
		find_part $$
	fi
	watch "$part"
	hold_part
	if [ ! "$bad" ] && [ "$resume" = 1 ]; then
		exec 4>&5
		own
	fi
	if [ "$bad" ]; then
		part=
		watch ''
	elif [ "$resume" = 1 ]; then
		truncate_at "$at"
	fi
}

exactly() { # N bytes from stdin to stdout
	if [ "$fullblock" ]; then
		[ "$1" -lt 65536 ] || dd bs=65536 count=$(($1 / 65536)) iflag=fullblock
		[ $(($1 % 65536)) -eq 0 ] || dd bs=$(($1 % 65536)) count=1 iflag=fullblock
	else
		dd bs=1 count="$1"
	fi 2>/dev/null
}

still_there() { # without locks another --resume to this name may have finished what this one has begun
	[ "$bad" ] || { [ -f "$part" ] && [ ! -L "$part" ] && { [ ! "$proc" ] || [ "$part" -ef "$held" ]; }; } ||
		bad='0 another copy to this name has taken what had come of it'
	if [ "$hollow" ] && [ ! "$bad" ]; then truncate_at "$at"; fi
	hollow=
}

piece() { # N; what cannot be written is read all the same
	still_there
	if [ "$bad" ]; then
		exactly "$1" >/dev/null
		return
	fi
	if [ "$fullblock" ] && [ "$1" -le 65536 ]; then # read before it is written
		err=$(dd bs="$1" count=1 iflag=fullblock 2>&1 >&5)
	else
		err=$(exactly "$1" | {
			cat 2>&1 >&5 || {
				cat >/dev/null
				exit 1
			}
		})
	fi || {
		why "$err"
		bad="0 $text"
		drop
	}
	at=$((at + $1))
}

hole() { # N; many in a row are made as one, by what comes next: it takes a process
	at=$((at + $1)) hollow=1
}

take_away() { # what has come; where it cannot be (a folder may allow to create and not to delete), the answer is of what stays
	rm -f "$part" 2>/dev/null
	if [ -e "$part" ] || [ -L "$part" ]; then place=$part bad="3 ${bad#* }"; fi
}

drop() { # what has come of a file that does not
	if [ "$part" ] && [ ! "$whole" ]; then
		size_of "$held"
		if [ "$1" ] || [ "$resume" != 1 ] || [ "$size" -eq 0 ]; then take_away; fi
		watch ''
	fi
	part=
	exec 4>&- 5>&-
}

dress_held() { # FILE MODE TIME STAMP: what 5 is of
	if [ "$proc" ]; then dress "$proc" "$2" "$3" "$4" <&5; else dress "$@"; fi
}

dress() { # FILE MODE TIME STAMP
	chmod "$2" "$1" && { touch -d "@$3" "$1" 2>/dev/null || TZ=UTC0 touch -t "$4" "$1"; }
}

finish() { # DIGEST
	[ "$1" != - ] || bad=${bad:-0 it became shorter while it was read, or could not be read to its end}
	still_there
	[ "$bad" ] || {
		if [ "$digests" != - ]; then
			sum=$(sha256sum <"$held") || sum=0
			sum=${sum%% *}
		else
			size_of "$held"
			sum=$1
			[ "$size" -eq "$wanted" ] || sum=0
		fi
		[ "$sum" = "$1" ] || {
			bad='0 the digest is wrong: it was changed meanwhile, or on the way'
			drop 1
		}
	}
	if [ ! "$bad" ] && [ "$whole" ]; then
		dress_held "$part" "$mode" "$time" "$stamp" 2>/dev/null # another's, with the same in it: it stays as it is
	elif [ ! "$bad" ]; then
		if err=$( (dress_held "$part" "$mode" "$time" "$stamp" && mv -f $over "$part" "$place") 2>&1); then
			part=
			watch ''
		else
			why "$err"
			bad="0 $text"
		fi
	fi
	drop
	answer
}

answer() {
	if [ "$bad" ]; then no "${bad%% *}" "${bad#* }"; else echo + >&3; fi
	now='' bad=''
}

folder() { # MODE TIME STAMP PATH
	bad=
	find_place "$4"
	if [ ! "$bad" ] && [ "$into$path" != 1. ] && [ -L "$place" ]; then
		bad="0 $is_link" missing=$path/
	elif [ ! "$bad" ] && [ ! -d "$place" ]; then
		err=$( (umask 077 && mkdir "$place") 2>&1) || {
			why "$err"
			folder_error "$place" "$text"
			[ ! "$broken" ] || bad="0 $broken" missing=$path/
			broken=
		}
	elif [ "$path$made" = .1 ] && [ ! "$bad" ]; then
		chmod 700 "$dest"
	fi
	answer
}

link() { # PATH TARGET
	bad=
	find_place "$1"
	plain "$2"
	if [ ! "$bad" ] && [ -d "$place" ] && [ ! -L "$place" ]; then
		bad='0 Is a directory'
	elif [ ! "$bad" ] && [ -e "$place" ] && [ ! -f "$place" ] && [ ! -L "$place" ]; then
		bad='0 what is there is neither a file nor a link'
	elif [ ! "$bad" ]; then
		find_part $$
		watch "$part"
		if [ ! "$over" ] && [ -L "$place" ]; then rm -f "$place"; fi # mv(1) would go where it leads
		if ! err=$(ln -s -- "$path" "$part" 2>&1) || ! err=$(mv -f $over "$part" "$place" 2>&1); then
			why "$err"
			bad="0 $text"
			take_away
		fi
		watch ''
	fi
	part=
	answer
}

clothe() { # MODE TIME STAMP PATH: a folder; something else where it could not be made stays as it is
	bad=
	find_place "$4"
	if [ ! "$bad" ] && [ -d "$place" ]; then
		if [ "$into$path" = 1. ]; then { command exec 5<"$place"; }; else hold "$place"; fi 2>/dev/null &&
			dress_held "$place" "$1" "$2" "$3" 2>/dev/null
		exec 5>&-
	fi
}

take() {
	target
	echo "econtext-put $digests" >&3
	while read -r what one two three four five six; do
		case $what in
		d) folder "$one" "$two" "$three" "$four" ;;
		l) link "$one" "$two" ;;
		f) begin "$one" "$two" "$three" "$four" "$five" "$six" ;;
		p) piece "$one" ;;
		h) hole "$one" ;;
		.) finish "$one" ;;
		t) clothe "$one" "$two" "$three" "$four" ;;
		'?') have "$one" "$two" ;;
		*) exit 1 ;;
		esac
	done
	[ "$now" ] && drop
}

is_link='it is a link, where a folder is wanted'
digests=- fullblock='' over='' locks=$(command -v flock) mask=$(umask)
[ "$(printf '' | sha256sum 2>/dev/null)" ] && digests=sha256
[ "$(printf ab | dd bs=2 count=1 iflag=fullblock 2>/dev/null)" ] && fullblock=1
case $(mv --help 2>&1) in *[' ''	']-T*) over=-T ;; esac
stats=$(stat -L -c %d:%i / 2>/dev/null)
proc=/proc/self/fd/0
# shellcheck disable=SC2094 # read it is not
[ / -ef "$proc" ] 2>/dev/null </ || proc=''
session=$(command -v setsid)
exec 3>&1
# shellcheck disable=SC2016
take | $session sh -c '
	trap "" HUP INT TERM
	last=
	while read -r part; do last=$part; done
	[ ! "$last" ] || rm -f "$last"
' >/dev/null 2>&1 3>&-
