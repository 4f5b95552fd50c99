# Commands among themselves and with the tools around them.

echo '--- a Worker takes any JSON value for the data of an event'
printf '{"n":1}\n"text"\n3\n' | flow-work examples.echo:Echo | jq -c .data

echo '--- a line that is no JSON is a failed event, and no other is harmed'
printf '1\nnot json\n2\n' >lines
flow-work examples.echo:Echo <lines 2>messages | jq -c .data
sed 's/not JSON: .*/not JSON: .../' messages
flow-work examples.echo:Echo <lines >/dev/null 2>&1; echo $?

echo '--- jq may stand in between'
flow-interval 0.05 --count 2 | jq -c .data.number | flow-work examples.echo:Echo | jq .data

echo '--- a Worker that is not there'
{ flow-work examples.none:None </dev/null; echo $?; } 2>&1 | sed "s:$PWD:HERE:"

echo '--- events without a source to tell cannot be acknowledged'
echo a | flow-stdin | flow-ack; echo $?

echo '--- flow-sim runs a command against a Viz One and ends as it does'
flow-sim -- sh -c 'test -n "$VIZONE_URL" && exit 7'; echo $?
