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
#     SLABLEAK   what crash's `extend` is to load; default: slableak.so (make bundle). For
#                what `make install` installs: "pyextend.so slableak.py".
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
# shellcheck disable=SC2086 # options are words
timeout "${LIMIT:-3600}" "${CRASH:-crash}" -s ${CRASH_OPTIONS:-} -i "$work/input" \
    "$vmlinux" "$vmcore" >"$work/said" 2>&1 </dev/null || status=$?

kernel=$(sed -n 's/^ *RELEASE: *//p' "$work/sys")
# A record that was cut off is no reason to lose the next line.
cat "$work/records" >>"$out"
[ -z "$(tail -c 1 "$work/records")" ] || echo >>"$out"
ends=$(grep -c '^{"type":"end",' "$work/records" || true)
reason=null
if [ "$ends" -ne "$count" ]; then
    # What crash itself has said last is most often why.
    said=$(grep -v '^[[:space:]]*$' "$work/said" | tail -n 1 | tr -cd ' -~')
    reason=$(string "${said:-crash said nothing}")
fi
printf '{"type":"run","kernel":%s,"status":%s,"reason":%s}\n' \
    "$([ -n "$kernel" ] && string "$kernel" || echo null)" "$status" "$reason" >>"$out"
[ "$ends" -eq "$count" ]
