# Sourced by what runs inside isolated.sh: starts daemons there, on the ports that the libraries' own tests expect.
# Nothing has to end them: they end with the command that isolated.sh runs.

# start LOG ADDRESS PORT PROGRAM FLAG...: starts the program, and waits until it listens there.
start() {
    local log=$1 address=$2 port=$3 process
    shift 3
    "$@" >"$log" 2>&1 &
    process=$!
    until (exec 3<>"/dev/tcp/$address/$port") 2>/dev/null; do
        kill -0 "$process" 2>/dev/null || {
            cat "$log" >&2
            echo "error: $1 ended, its log stands above" >&2
            return 1
        }
        sleep 0.02
    done
}

# has FEATURE: whether the daemon is said to have it.
has() {
    case " ${NSQ_CLIENT_FEATURES:-} " in *" $1 "*) ;; *) return 1 ;; esac
}
