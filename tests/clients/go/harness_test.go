// Package clients runs go-nsq, as its users have it, against nsqd and nsqlookupd.
//
// This file starts the daemons, on free ports and with data that goes away with the test, and ends them by their
// process. Every wait is for the thing itself, and has a deadline and an explanation.
package clients

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	// A limit for a machine that is busy with other things; nothing here takes as long by itself.
	patience = 45 * time.Second
	poll     = 10 * time.Millisecond
)

// daemon is nsqd or nsqlookupd. Stopped and started again, it keeps its ports.
type daemon struct {
	name    string
	tcp     string
	http    string
	log     string
	flags   []string
	process *exec.Cmd
	ended   chan struct{}
}

func startNsqd(t *testing.T, flags ...string) *daemon {
	data := t.TempDir()
	return startDaemon(t, "nsqd", append([]string{"--data-path=" + data, "--broadcast-address=127.0.0.1"}, flags...))
}

func startNsqlookupd(t *testing.T) *daemon {
	return startDaemon(t, "nsqlookupd", nil)
}

func startDaemon(t *testing.T, name string, flags []string) *daemon {
	d := &daemon{
		name:  name,
		tcp:   "127.0.0.1:0",
		http:  "127.0.0.1:0",
		log:   filepath.Join(t.TempDir(), "log"),
		flags: flags,
	}
	t.Cleanup(d.kill)
	d.start(t)
	return d
}

func (d *daemon) start(t *testing.T) {
	t.Helper()
	program := os.Getenv(strings.ToUpper(d.name))
	if program == "" {
		t.Fatalf("%s does not name the program; `make clients-go` does", strings.ToUpper(d.name))
	}
	log, err := os.Create(d.log)
	must(t, err)
	defer log.Close()
	d.process = exec.Command(program, append([]string{"--tcp-address=" + d.tcp, "--http-address=" + d.http}, d.flags...)...)
	d.process.Stdout, d.process.Stderr = log, log
	must(t, d.process.Start())
	process, ended := d.process, make(chan struct{})
	d.ended = ended
	go func() {
		_ = process.Wait()
		close(ended)
	}()
	d.tcp = d.logged(t, `TCP: listening on (\S+)`)
	d.http = d.logged(t, `HTTP: listening on (\S+)`)
}

// stop asks the daemon to end, and waits until it has.
func (d *daemon) stop(t *testing.T) {
	t.Helper()
	must(t, d.process.Process.Signal(syscall.SIGTERM))
	<-d.ended
	if !d.process.ProcessState.Success() {
		t.Fatalf("%s ended with %v", d.name, d.process.ProcessState)
	}
}

func (d *daemon) kill() {
	if d.process != nil && d.process.Process != nil {
		_ = d.process.Process.Kill()
		<-d.ended
	}
}

func (d *daemon) logged(t *testing.T, pattern string) string {
	t.Helper()
	expression := regexp.MustCompile(pattern)
	var found []string
	waitUntil(t, fmt.Sprintf("%s writes %q", d.name, pattern), func() bool {
		text, err := os.ReadFile(d.log)
		must(t, err)
		found = expression.FindStringSubmatch(string(text))
		select {
		case <-d.ended:
			if found == nil {
				t.Fatalf("%s ended: %s", d.name, text)
			}
		default:
		}
		return found != nil
	})
	return found[1]
}

// producers is where the nsqd are that this nsqlookupd names for the topic.
func (d *daemon) producers(t *testing.T, topic string) int {
	t.Helper()
	var found struct{ Producers []json.RawMessage }
	d.get(t, "/lookup?topic="+topic, &found)
	return len(found.Producers)
}

func (d *daemon) createTopic(t *testing.T, topic string) {
	t.Helper()
	answer, err := http.Post("http://"+d.http+"/topic/create?topic="+topic, "", nil)
	must(t, err)
	answer.Body.Close()
}

// channelStats is what /stats says of a channel.
type channelStats struct {
	Depth         int
	InFlight      int `json:"in_flight_count"`
	Deferred      int `json:"deferred_count"`
	MessageCount  int `json:"message_count"`
	RequeueCount  int `json:"requeue_count"`
	TimeoutCount  int `json:"timeout_count"`
	Clients       []clientStats
	isNotThereYet bool
}

type clientStats struct {
	ReadyCount   int `json:"ready_count"`
	FinishCount  int `json:"finish_count"`
	TLS          bool
	TLSVersion   string `json:"tls_version"`
	Snappy       bool
	Deflate      bool
	Authed       bool
	AuthIdentity string `json:"auth_identity"`
}

func (c channelStats) isEmpty() bool {
	return !c.isNotThereYet && c.Depth == 0 && c.InFlight == 0 && c.Deferred == 0
}

func (d *daemon) channel(t *testing.T, topic string) channelStats {
	t.Helper()
	var stats struct {
		Topics []struct{ Channels []channelStats }
	}
	d.get(t, "/stats?format=json&topic="+topic, &stats)
	for _, topic := range stats.Topics {
		for _, channel := range topic.Channels {
			return channel
		}
	}
	return channelStats{isNotThereYet: true}
}

// waitForChannel waits until the topic's only channel is as described, and returns what /stats says of it then.
func (d *daemon) waitForChannel(t *testing.T, topic, description string, is func(channelStats) bool) channelStats {
	t.Helper()
	var last channelStats
	waitUntilExplained(t, func() bool {
		last = d.channel(t, topic)
		return is(last)
	}, func() string { return fmt.Sprintf("the channel is %s; it is %+v", description, last) })
	return last
}

func (d *daemon) get(t *testing.T, target string, into any) {
	t.Helper()
	answer, err := http.Get("http://" + d.http + target)
	must(t, err)
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	must(t, err)
	if answer.StatusCode == http.StatusOK {
		must(t, json.Unmarshal(body, into))
	}
}

// authorizationServer permits the topic to whoever knows the secret.
func authorizationServer(t *testing.T, secret, topic string) string {
	server := httptest.NewServer(http.HandlerFunc(func(answer http.ResponseWriter, request *http.Request) {
		must(t, request.ParseForm())
		authorizations := "[]"
		if request.Form.Get("secret") == secret {
			authorizations = fmt.Sprintf(
				`[{"topic":"%s","channels":[".*"],"permissions":["subscribe","publish"]}]`, topic)
		}
		fmt.Fprintf(answer, `{"ttl":3600,"identity":"tester","identity_url":"","authorizations":%s}`, authorizations)
	}))
	t.Cleanup(server.Close)
	address, err := url.Parse(server.URL)
	must(t, err)
	return address.Host
}

// needs skips the test where the daemon is said not to have all of these yet.
func needs(t *testing.T, features ...string) {
	t.Helper()
	for _, feature := range features {
		if !strings.Contains(" "+os.Getenv("NSQ_CLIENT_FEATURES")+" ", " "+feature+" ") {
			t.Skipf("switched off: %s is not in NSQ_CLIENT_FEATURES", feature)
		}
	}
}

// certificate is the path of a file that certificates.sh made.
func certificate(t *testing.T, name string) string {
	t.Helper()
	directory := os.Getenv("NSQ_CERTIFICATES")
	if directory == "" {
		t.Fatal("NSQ_CERTIFICATES does not name a directory; `make clients-go` does")
	}
	return filepath.Join(directory, name)
}

func waitUntil(t *testing.T, description string, condition func() bool) {
	t.Helper()
	waitUntilExplained(t, condition, func() string { return description })
}

func waitUntilExplained(t *testing.T, condition func() bool, explanation func() string) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v in vain until %s", patience, explanation())
		}
		time.Sleep(poll)
	}
}

// next is the channel's next value.
func next[T any](t *testing.T, values <-chan T) T {
	t.Helper()
	select {
	case value := <-values:
		return value
	case <-time.After(patience):
		t.Fatalf("waited %v in vain for a message", patience)
		panic("unreachable")
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
