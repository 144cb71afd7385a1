#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# From a posted series to a verdict, for CI: what `harness try` says as text, as test cases and, where
# a summary is asked for, as Markdown. Its exit status is that of `harness try`: 0 better or no
# difference, 1 worse, mixed or broken, 2 wrong input or host.
#
# In the environment: PATCH what to try, and beside it, each as the option of that name, MACHINES
# (by spaces), BASE, BLOCKS, GATE and QUICK (true or false), RESULTS (default: results); SUMMARY, a
# file to append to.
set -u

: "${PATCH:?what to try: an mbox, a folder of patches, or TREE A..B}"
results=${RESULTS:-results}
# Names and sizes have no spaces; a file may.
set -- --results "$results" --junit "$results/junit.xml"
for machine in ${MACHINES:-}; do
	set -- "$@" --machine "$machine"
done
[ -z "${BASE:-}" ] || set -- "$@" --base "$BASE"
[ "${BLOCKS:-0}" = 0 ] || set -- "$@" --blocks "$BLOCKS"
[ "${GATE:-false}" != true ] || set -- "$@" --gate
[ "${QUICK:-false}" != true ] || set -- "$@" --quick

mkdir -p "$results" || exit 2
case $PATCH in
*" "*..*)
	# A tree and a range of its commits.
	harness try "$@" -- "${PATCH% *}" "${PATCH##* }" >"$results/verdict.txt"
	;;
*)
	harness try "$@" -- "$PATCH" >"$results/verdict.txt"
	;;
esac
status=$?
cat "$results/verdict.txt"
if [ -n "${SUMMARY:-}" ]; then
	{
		echo "### pageinit"
		echo
		echo '```'
		# A fence in what is quoted would end ours.
		sed "s/\`\`\`/'''/g" "$results/verdict.txt"
		echo '```'
	} >>"$SUMMARY"
fi
exit $status
