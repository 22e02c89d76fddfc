#!/bin/sh
# Gathers what a machine is before an upgrade, for a host that is too old for
# lifeboat. It needs a POSIX shell and the usual small programs, reads, and changes
# nothing but the file that it writes.
#
#   sh lifeboat-facts.sh [--root DIR] [FILE]
#
# Run it as root. FILE is lifeboat-facts.txt when it is not given; "-" is standard
# output. With --root it looks at the machine that is mounted there. Then, on any host
# that has lifeboat:
#
#   lifeboat upgrade plan --facts FILE

LC_ALL=C; LANG=C; export LC_ALL LANG
PATH=$PATH:/usr/sbin:/sbin:/usr/bin:/bin; export PATH
umask 077
tab='	'
IFS='
'
unset CDPATH
root= top= out=lifeboat-facts.txt blocks=0

fail() { printf 'lifeboat-facts: %s\n' "$1" >&2; exit 1; }

while [ $# -gt 0 ]; do
	case $1 in
	--root) [ $# -gt 1 ] || fail '--root needs a directory'; root=$2; shift 2 ;;
	-h | --help) sed -n '2,/^$/s/^# \{0,1\}//p' "$0"; exit 0 ;;
	-?*) fail "there is no option $1; see --help" ;;
	*) out=$1; shift ;;
	esac
done
[ ! -d "$out" ] || fail "$out is a directory; name a file in it"
case $root in
'' | /*) ;;
*) fail '--root needs an absolute path' ;;
esac
while [ "$root" != "${root%/}" ]; do root=${root%/}; done
if [ -n "$root" ]; then
	top=$(cd "$root" && pwd -P) || fail "$root is no directory"
	root=$top
fi

live() { [ -z "$root" ]; }

# real finds where the machine's file $1 stands. Links of a root are followed within
# it; what would lead out is not there.
real() {
	real=$root$1
	live && return 0
	hops=0
	while [ -L "$real" ]; do
		hops=$((hops + 1))
		[ $hops -le 16 ] || return 1
		to=$(readlink "$real") || return 1
		case $to in
		/*) real=$root$to ;;
		*) real=${real%/*}/$to ;;
		esac
		inside "$real" || return 1
	done
	inside "$real"
}

inside() {
	dir=$(cd -P "${1%/*}/" 2>/dev/null && pwd -P) || return 1
	case $dir/ in
	"$top"/*) return 0 ;;
	esac
	return 1
}

plain() {
	case $1 in
	*[!\ -~]*) return 1 ;;
	esac
}

any() {
	for file; do
		real "$file" && [ -e "$real" ] && return 0
	done
	return 1
}

# What looks like a secret is cut out: what stands before the last "@" and behind "?" in
# an address, and what such words are set to. In XML an address ends at the next "<".
cut='/^[[:space:]]*</{
s#://[^<[:space:]]*@#://#g
s#\(:/[^?<[:space:]]*?\)[^<[:space:]]*#\1#g
b
}
s#://[^[:space:]]*@#://#g
s#\(:/[^?[:space:]]*?\)[^[:space:]]*#\1#g
s#\(=[[:blank:]]*\)[^,/[:space:]]*:[^[:space:]]*@#\1#g'
words='[Pp][Aa][Ss][Ss]
[Tt][Oo][Kk][Ee][Nn]
[Ss][Ee][Cc][Rr][Ee][Tt]
[Aa][Uu][Tt][Hh]'
for rule in '^\([[:blank:]]*[A-Za-z0-9_.-]*KEY\)[[:blank:]]*=.*' '\(KEY\)="[^"]*"' '\(KEY\)[[:blank:]][[:blank:]]*=[[:blank:]]*[^[:space:]]*' '\(KEY\)=[^[:space:]]*'; do
	for word in $words; do
		cut="$cut
s#${rule%%KEY*}$word[A-Za-z0-9_-]*${rule#*KEY}#\\1=#g"
	done
done

# block writes standard input as a block, without zero bytes and secrets. Expression $2
# chooses lines.
block() {
	printf 'begin %s\n' "$1"
	if [ -n "$2" ]; then
		tr -d '\000' | grep -E -e "$2"
	else
		tr -d '\000'
	fi | { cat; echo; } | sed -e "$cut" | sed -e 's/^/|/'
	printf 'end\n'
}

counted() { blocks=$((blocks + 1)); }

lines() { # place name keep
	[ -f "$1" ] && [ -r "$1" ] || return 0
	counted
	dd if="$1" bs=4096 count=256 2>/dev/null | block "file $2" "$3"
}

file() { real "$1" && lines "$real" "$1" "$2"; }
own() { lines "$1" "$1" "$2"; }

glob() { # directory pattern keep
	odd=
	for found in "$root$1"/$2; do
		[ -e "$found" ] || [ -L "$found" ] || continue
		if plain "${found#"$root"}"; then
			file "${found#"$root"}" "$3"
		else
			odd=1
		fi
	done
	[ -n "$odd" ] || return 0
	counted
	block "odd $1" </dev/null
}

names() { # name patterns...
	counted
	what=$1
	shift
	for pattern; do
		for found in "$root"$pattern; do
			[ -e "$found" ] || [ -L "$found" ] || continue
			live || inside "$found" || continue
			plain "${found#"$root"}" && printf '%s\n' "${found#"$root"}"
		done
	done | block "names $what"
}

links() { # name patterns...
	counted
	what=$1
	shift
	for pattern; do
		for found in $pattern; do
			[ -L "$found" ] && to=$(readlink "$found") && plain "$found$to" && printf '%s\t%s\n' "$found" "$to"
		done
	done | block "links $what"
}

# program finds one in PATH: busybox's shell would take its own rpm instead.
program() {
	(
		IFS=:
		for dir in $PATH; do
			[ -x "$dir/$1" ] && [ -f "$dir/$1" ] && printf '%s' "$dir/$1" && exit
		done
		printf '%s' "$1"
	)
}

run() { # name program arguments...
	counted
	what=$1
	called=$(program "$2")
	shift 2
	{
		"$called" "$@" 2>/dev/null </dev/null
		printf '\nexit %s' "$?"
	} | block "run $what"
}

head() { # name files...
	what=$1
	shift
	for found; do
		real "$found" && [ -f "$real" ] && [ -r "$real" ] || continue
		counted
		od -An -tx1 -N20 "$real" | block "head $what"
		return
	done
}

processes() { # name keep
	counted
	for p in /proc/[0-9]*; do
		name=
		{ IFS=$tab read -r _ name; } 2>/dev/null <"$p/status"
		guest=
		case $name in
		qemu* | kvm) guest=$(tr '\000' '\n' 2>/dev/null <"$p/cmdline" | sed -n '/^-name$/{n;p;q;}') ;;
		esac
		[ -n "$name" ] && printf '%s %s %s\n' "${p#/proc/}" "$name" "$guest"
	done 2>/dev/null | block "processes $1" "$2"
}

maps() { # name keep
	counted
	for p in /proc/[0-9]*/maps; do # too many for one command line
		cat "$p" 2>/dev/null
	done | grep -E -e "$2" | sed 's#^[^/]*/#/#' | sort -u | block "maps $1"
}

gather() {
	printf 'lifeboat-facts 1\n'
	printf 'date %s\n' "$(date +%s)"
	printf 'user %s\n' "$(id -u)"
	[ -z "$root" ] || printf 'root %s\n' "$root"
#SOURCES#
	printf 'done %s\n' "$blocks"
}

if [ "$out" = - ]; then
	gather
	exit 0
fi
# Nothing that is already there is written through.
rm -f "$out.part" || exit 1
set -C
gather >"$out.part" || fail "$out.part cannot be written"
[ "$(tail -n 1 "$out.part")" = "done $(grep -c '^begin ' "$out.part")" ] || fail "$out.part could not be written to its end; is the disk full?"
mv -f "$out.part" "$out" || exit 1
printf 'The facts are in %s. On a host that has lifeboat: lifeboat upgrade plan --facts %s\n' "$out" "$out" >&2
[ "$(id -u)" = 0 ] || printf 'They were gathered without the rights of root and are not complete.\n' >&2
