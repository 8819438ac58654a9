#!/bin/sh
# Runs each fuzz target of the tree for a time, and prints what it executed and
# how much of its package the inputs cover. Fails if a target does; go test
# leaves the input that did it in testdata/fuzz of the package.
# usage: fuzz.sh TIME [TARGET...]
set -eu
time=$1
shift
out=$(mktemp)
trap 'rm -f "$out"' EXIT
failed=0
row='%-30s %-26s %12s %10s  %s\n'
printf "$row" target package executions coverage result
for found in $(grep -rho --include='*_test.go' '^func Fuzz[A-Za-z0-9]*' --with-filename . | sed 's/:func /:/' | sort); do
	package=$(dirname "${found%%:*}") target=${found##*:}
	case " $* " in "  " | *" $target "*) ;; *) continue ;; esac
	result=ok
	# Without the last flag, targets with several goroutines keep the fuzzer busy minimizing.
	go test -run - -fuzz "^$target\$" -fuzztime "$time" -cover -fuzzminimizetime 1x "$package" >"$out" 2>&1 || result=FAIL
	# Before Go 1.27 the end of the time may count as a failure, which has no input (golang/go issue 75804).
	if grep -q '^ *context deadline exceeded$' "$out" && ! grep -q 'Failing input' "$out"; then
		result=ok
	fi
	executions=$(sed -n 's/.*execs: \([0-9]*\).*/\1/p' "$out" | tail -1)
	coverage=$(sed -n 's/^coverage: \([0-9.]*%\).*/\1/p' "$out" | tail -1)
	printf "$row" "$target" "${package#./}" "${executions:--}" "${coverage:--}" "$result"
	if [ $result = FAIL ]; then
		failed=1
		cat "$out"
	fi
done
exit $failed
