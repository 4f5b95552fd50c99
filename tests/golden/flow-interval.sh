echo '--- ticks and ends after its count'
flow-interval 0.2 --count 3 | jq .type

echo '--- writes its first tick at once, and says what it is'
flow-interval 3600 --count 1 | jq -c '[.source, .subject, .data]'

echo '--- has a name'
flow-interval 0.01 --count 2 --name sweep | jq -r .subject

echo '--- needs to know when'
flow-interval; echo $?

echo '--- says what a window looks like'
flow-interval 1 --window 22; echo $?

echo '--- says what a cron expression looks like'
flow-interval --cron '61 * * * *'; echo $?

echo '--- ends as by SIGPIPE when its reader leaves'
(flow-interval 0.01; echo $? >&2) | head -n 1 >/dev/null
