echo '--- each line becomes an event, and an empty one, too'
printf 'a\n\nb' | flow-stdin | jq -c '[.type, .source, .data]'

echo '--- and goes through a Worker'
printf 'a\nb\n' | flow-stdin | flow-work examples.echo:Echo | jq -r .data

echo '--- the same input gives the same ids'
printf 'a\na\n' | flow-stdin | jq -r .id
printf 'a\na\n' | flow-stdin | jq -r .id

echo '--- names that end with a NUL byte may hold anything else'
printf 'one\ntwo\0three\0' | flow-stdin --null | jq -c .data

echo '--- what is not UTF-8 is carried as Base64'
printf '\377\n' | flow-stdin | jq -c '[.datacontenttype, .data_base64]'

echo '--- a bad JSON value is reported with its line and skipped'
printf '{"n":1}\n{"n":\n{"n":3}\n' >lines
flow-stdin --json <lines 2>messages | jq -c .data
sed 's/not JSON: .*/not JSON: .../' messages
flow-stdin --json <lines >/dev/null 2>&1; echo $?

echo '--- a document is one event'
printf '<job>\n</job>\n' | flow-stdin --document | jq -c '[.type, .data]'

echo '--- a document has a limit'
printf 12345 | flow-stdin --document --max-size 4; echo $?
