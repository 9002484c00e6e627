#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Looks at one dump and writes JSON lines: one-dump.sh VMLINUX VMCORE OUT
#
# The scheduler is yours. With a file `list`, a line "VMLINUX VMCORE OUT" for each dump:
#
#     xargs -P 8 -L 1 sh one-dump.sh <list
#     parallel -j 8 --colsep ' ' sh one-dump.sh {1} {2} {3} :::: list
#     sbatch --array=1-"$(wc -l <list)" --wrap \
#         'sh one-dump.sh $(sed -n "${SLURM_ARRAY_TASK_ID}p" list)'
#     python3 merge.py OUT...
#
# May be set in the environment:
#     SLABLEAK   what crash's `extend` is to load; default: the loader and slableak.py that
#                this script was installed with, else those of its checkout (make), else
#                the bundle beside it or in its checkout (make bundle), else slableak.so
#                where crash finds it
#     HOST       crash or drgn (the program slableak, which needs no crash); default: crash
#                where there is one
#     COMMANDS   command lines, one a line; default: slabdup -j, and slabwhy -j, which says
#                what module left a cache behind
#     CRASH      the crash to run; CRASH_OPTIONS its options (--no_modules for Linux 7.3)
#     LIMIT      seconds until it is given up; default: 3600
#
# OUT begins with a record `dump`, which says what was to be run, before anything is run: so
# a job that is killed at any point leaves a file that merge.py lists as incomplete. The
# exit status is 0 if each command has written its last record, complete or not, else 1.
set -eu

[ $# -eq 3 ] || { echo 'Usage: one-dump.sh VMLINUX VMCORE OUT' >&2; exit 2; }
vmlinux=$1 vmcore=$2 out=$3
commands=${COMMANDS:-slabdup -j
slabwhy -j}

# A JSON string of a line.
string() { printf '%s' "$1" | sed 's/[\\"]/\\&/g; s/^/"/; s/$/"/' | tr '\t' ' '; }

here=$(cd "$(dirname "$0")" && pwd)
top=$here/../..
if [ -z "${SLABLEAK:-}" ]; then
    SLABLEAK=slableak.so
    for file in "$top/build/slableak.so" "$here/slableak.so"; do
        [ ! -f "$file" ] || SLABLEAK=$file
    done
    for file in "$top/build/pyextend.so" "$top/pyextend.so"; do
        [ ! -f "$file" ] || SLABLEAK="$file $here/../slableak.py"
    done
fi
if [ -z "${HOST:-}" ]; then
    HOST=crash
    if ! command -v "${CRASH:-crash}" >/dev/null && command -v slableak >/dev/null; then
        HOST=drgn
    fi
fi

lines=
count=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
{
    printf 'sys > %s/sys\n' "$work"
    for file in ${SLABLEAK:-slableak.so}; do printf 'extend %s\n' "$file"; done
} >"$work/input"
while IFS= read -r line; do
    [ -n "$line" ] || continue
    printf '%s >> %s/records\n' "$line" "$work" >>"$work/input"
    printf '%s\n' "$line" >>"$work/commands"
    lines="$lines${lines:+,}$(string "$line")"
    count=$((count + 1))
done <<LINES
$commands
LINES
echo quit >>"$work/input"

printf '{"type":"dump","vmlinux":%s,"vmcore":%s,"commands":[%s]}\n' \
    "$(string "$vmlinux")" "$(string "$vmcore")" "$lines" >"$out"

: >"$work/records"
: >"$work/sys"
status=0
if [ "$HOST" = drgn ]; then
    set -- -s "$vmlinux" "$vmcore"
    then=
    while IFS= read -r line; do
        # shellcheck disable=SC2086 # a line is words
        set -- "$@" $then $line
        then=--then
    done <"$work/commands"
    timeout "${LIMIT:-3600}" slableak "$@" >"$work/records" 2>"$work/said" </dev/null || status=$?
else
    # shellcheck disable=SC2086 # options are words
    timeout "${LIMIT:-3600}" "${CRASH:-crash}" -s ${CRASH_OPTIONS:-} -i "$work/input" \
        "$vmlinux" "$vmcore" >"$work/said" 2>&1 </dev/null || status=$?
fi

kernel=$(sed -n 's/^ *RELEASE: *//p' "$work/sys")
if [ "$HOST" = drgn ] && [ -r "$vmcore" ]; then
    # VMCOREINFO, which stands near the start of every form of a dump.
    kernel=$(head -c 1048576 "$vmcore" | tr '\000' '\n' | sed -n 's/^.*OSRELEASE=//p' | head -n 1)
fi
# A record that was cut off is no reason to lose the next line.
# Nor are commands that nothing has loaded: why that is comes below.
sed '/^crash: command not found: /d' "$work/records" >>"$out"
[ -z "$(tail -c 1 "$work/records")" ] || echo >>"$out"
ends=$(grep -c '^{"type":"end",' "$work/records" || true)
reason=null
if [ "$ends" -ne "$count" ]; then
    # What could not be loaded is the first cause; else what was said last is most often why.
    said=$(grep -m 1 -E '^extend: |was built for ' "$work/said" ||
        grep -v '^[[:space:]]*$' "$work/said" | tail -n 1 || true)
    said=$(printf '%s' "$said" | tr -cd ' -~')
    reason=$(string "${said:-$HOST said nothing}")
fi
printf '{"type":"run","kernel":%s,"status":%s,"reason":%s}\n' \
    "$([ -n "$kernel" ] && string "$kernel" || echo null)" "$status" "$reason" >>"$out"
[ "$ends" -eq "$count" ]
