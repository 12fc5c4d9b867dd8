package clients

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand"
	"testing"
	"time"

	"github.com/nsqio/go-nsq"
)

const topic = "orders"

// configuration is the library's own, but for waits that a test would notice.
func configuration(options map[string]any) *nsq.Config {
	config := nsq.NewConfig()
	config.LookupdPollInterval = 100 * time.Millisecond
	config.LookupdPollJitter = 0
	config.RDYRedistributeInterval = 100 * time.Millisecond
	config.DialTimeout = patience
	config.WriteTimeout = patience
	for option, value := range options {
		if err := config.Set(option, value); err != nil {
			panic(err)
		}
	}
	return config
}

func newProducer(t *testing.T, d *daemon, config *nsq.Config) *nsq.Producer {
	t.Helper()
	producer, err := nsq.NewProducer(d.tcp, config)
	must(t, err)
	producer.SetLoggerLevel(nsq.LogLevelMax)
	t.Cleanup(producer.Stop)
	return producer
}

// newConsumer has so many handlers at a time; it is not connected yet.
func newConsumer(t *testing.T, config *nsq.Config, handlers int, handler nsq.Handler) *nsq.Consumer {
	t.Helper()
	consumer, err := nsq.NewConsumer(topic, "billing", config)
	must(t, err)
	consumer.SetLoggerLevel(nsq.LogLevelMax)
	consumer.AddConcurrentHandlers(handler, handlers)
	t.Cleanup(func() {
		consumer.Stop()
		<-consumer.StopChan
	})
	return consumer
}

// consume hands over every message, and finishes it.
func consume(t *testing.T, d *daemon, config *nsq.Config) <-chan *nsq.Message {
	t.Helper()
	messages := make(chan *nsq.Message, 10_000)
	consumer := newConsumer(t, config, 1, nsq.HandlerFunc(func(message *nsq.Message) error {
		messages <- message
		return nil
	}))
	must(t, consumer.ConnectToNSQD(d.tcp))
	return messages
}

func bodies(count int) [][]byte {
	all := make([][]byte, count)
	for number := range all {
		all[number] = []byte(fmt.Sprintf("order %d", number))
	}
	return all
}

// expectAll waits until each of the bodies came once, in any order, and nothing else.
func expectAll(t *testing.T, messages <-chan *nsq.Message, expected [][]byte) {
	t.Helper()
	missing := map[string]int{}
	for _, body := range expected {
		missing[string(body)]++
	}
	for range expected {
		message := next(t, messages)
		if missing[string(message.Body)] == 0 {
			t.Fatalf("%.40q came once too often", message.Body)
		}
		missing[string(message.Body)]--
	}
}

func TestMessagesPublishedOneByOneArriveOnceAndAreFinished(t *testing.T) {
	t.Parallel()
	nsqd := startNsqd(t)
	producer := newProducer(t, nsqd, configuration(nil))
	messages := consume(t, nsqd, configuration(map[string]any{"max_in_flight": 10}))
	expected := append(bodies(100), []byte{0, '\n', 0xff}, bytes.Repeat([]byte("x"), 1_000_000))
	for _, body := range expected {
		must(t, producer.Publish(topic, body))
	}
	expectAll(t, messages, expected)
	channel := nsqd.waitForChannel(t, topic, "empty", channelStats.isEmpty)
	if channel.MessageCount != len(expected) || channel.RequeueCount+channel.TimeoutCount != 0 ||
		channel.Clients[0].FinishCount != len(expected) {
		t.Fatalf("%+v", channel)
	}
}

func TestABatchArrivesWhole(t *testing.T) {
	t.Parallel()
	nsqd := startNsqd(t)
	producer := newProducer(t, nsqd, configuration(nil))
	must(t, producer.MultiPublish(topic, bodies(500)))
	messages := consume(t, nsqd, configuration(map[string]any{"max_in_flight": 100}))
	expectAll(t, messages, bodies(500))
	nsqd.waitForChannel(t, topic, "empty", channelStats.isEmpty)
}

func TestADeferredMessageArrivesWhenItsTimeHasCome(t *testing.T) {
	t.Parallel()
	nsqd := startNsqd(t)
	producer := newProducer(t, nsqd, configuration(nil))
	messages := consume(t, nsqd, configuration(nil))
	published := time.Now()
	must(t, producer.DeferredPublish(topic, 400*time.Millisecond, []byte("later")))
	must(t, producer.Publish(topic, []byte("at once")))
	for _, expected := range []string{"at once", "later"} {
		if message := next(t, messages); string(message.Body) != expected {
			t.Fatalf("%q came instead of %q", message.Body, expected)
		}
	}
	if early := 400*time.Millisecond - time.Since(published); early > 0 {
		t.Fatalf("%v too early", early)
	}
}

func TestAsManyMessagesAreInFlightAsTheConsumerAllows(t *testing.T) {
	t.Parallel()
	nsqd := startNsqd(t)
	must(t, newProducer(t, nsqd, configuration(nil)).MultiPublish(topic, bodies(12)))
	release := make(chan struct{})
	consumer := newConsumer(t, configuration(map[string]any{"max_in_flight": 5}), 5,
		nsq.HandlerFunc(func(*nsq.Message) error {
			<-release
			return nil
		}))
	must(t, consumer.ConnectToNSQD(nsqd.tcp))
	nsqd.waitForChannel(t, topic, "5 in flight, 7 waiting", func(channel channelStats) bool {
		return channel.InFlight == 5 && channel.Depth == 7
	})
	close(release)
	nsqd.waitForChannel(t, topic, "empty", channelStats.isEmpty)
}

func TestARequeuedMessageComesBackAfterItsDelay(t *testing.T) {
	t.Parallel()
	nsqd := startNsqd(t)
	must(t, newProducer(t, nsqd, configuration(nil)).Publish(topic, []byte("order")))
	type arrival struct {
		attempts uint16
		at       time.Time
	}
	arrivals := make(chan arrival, 10)
	consumer := newConsumer(t, configuration(nil), 1, nsq.HandlerFunc(func(message *nsq.Message) error {
		arrivals <- arrival{message.Attempts, time.Now()}
		if message.Attempts == 1 {
			message.RequeueWithoutBackoff(400 * time.Millisecond)
		}
		return nil
	}))
	must(t, consumer.ConnectToNSQD(nsqd.tcp))
	first, second := next(t, arrivals), next(t, arrivals)
	if first.attempts != 1 || second.attempts != 2 || second.at.Sub(first.at) < 400*time.Millisecond {
		t.Fatalf("%+v, then %+v", first, second)
	}
	channel := nsqd.waitForChannel(t, topic, "empty", channelStats.isEmpty)
	if channel.RequeueCount != 1 {
		t.Fatalf("%+v", channel)
	}
}

func TestAFailureBacksTheConsumerOffAndASuccessBringsItBack(t *testing.T) {
	t.Parallel()
	nsqd := startNsqd(t)
	must(t, newProducer(t, nsqd, configuration(nil)).MultiPublish(topic, bodies(20)))
	config := configuration(map[string]any{
		"max_in_flight": 4, "backoff_multiplier": "1s", "default_requeue_delay": 0,
	})
	failed := make(chan struct{}, 1)
	failed <- struct{}{}
	consumer := newConsumer(t, config, 4, nsq.HandlerFunc(func(message *nsq.Message) error {
		select {
		case <-failed:
			return errors.New("this one is refused")
		default:
			return nil
		}
	}))
	must(t, consumer.ConnectToNSQD(nsqd.tcp))
	ready := func(count int) func(channelStats) bool {
		return func(channel channelStats) bool {
			return len(channel.Clients) == 1 && channel.Clients[0].ReadyCount == count
		}
	}
	nsqd.waitForChannel(t, topic, "held back", ready(0))
	nsqd.waitForChannel(t, topic, "read at full speed", ready(4))
	channel := nsqd.waitForChannel(t, topic, "empty", channelStats.isEmpty)
	if channel.RequeueCount != 1 || channel.TimeoutCount != 0 {
		t.Fatalf("%+v", channel)
	}
}

func TestALongJobIsKeptByTouchingItAndLostWithout(t *testing.T) {
	t.Parallel()
	nsqd := startNsqd(t)
	must(t, newProducer(t, nsqd, configuration(nil)).MultiPublish(topic, [][]byte{[]byte("touched"), []byte("forgotten")}))
	config := configuration(map[string]any{"max_in_flight": 2, "msg_timeout": "1s"})
	touched, forgotten := make(chan uint16, 10), make(chan *nsq.Message, 10)
	cameAgain := make(chan struct{})
	consumer := newConsumer(t, config, 2, nsq.HandlerFunc(func(message *nsq.Message) error {
		message.DisableAutoResponse()
		if string(message.Body) == "forgotten" {
			forgotten <- message
			return nil
		}
		// As long as it takes the other one to run into the timeout, and at least twice the timeout.
		for began := time.Now(); ; message.Touch() {
			select {
			case <-cameAgain:
				if time.Since(began) > 2200*time.Millisecond {
					message.Finish()
					touched <- message.Attempts
					return nil
				}
				time.Sleep(poll)
			case <-time.After(200 * time.Millisecond):
			}
		}
	}))
	must(t, consumer.ConnectToNSQD(nsqd.tcp))
	late, again := next(t, forgotten), next(t, forgotten)
	if late.Attempts != 1 || again.Attempts != 2 {
		t.Fatalf("attempts %d and %d", late.Attempts, again.Attempts)
	}
	again.Finish()
	// Too late, which the daemon answers with an error that leaves the connection as it is.
	late.Finish()
	close(cameAgain)
	if attempts := next(t, touched); attempts != 1 {
		t.Fatalf("attempt %d", attempts)
	}
	channel := nsqd.waitForChannel(t, topic, "empty", channelStats.isEmpty)
	if channel.TimeoutCount != 1 {
		t.Fatalf("%+v", channel)
	}
}

// refuser refuses every message, and is told when the library gives one up.
type refuser struct {
	attempts chan uint16
	givenUp  chan *nsq.Message
}

func (r refuser) HandleMessage(message *nsq.Message) error {
	r.attempts <- message.Attempts
	return errors.New("this one is refused")
}

func (r refuser) LogFailedMessage(message *nsq.Message) {
	r.givenUp <- message
}

func TestAMessageIsGivenUpAfterTheLastAttempt(t *testing.T) {
	t.Parallel()
	nsqd := startNsqd(t)
	must(t, newProducer(t, nsqd, configuration(nil)).Publish(topic, []byte("poison")))
	config := configuration(map[string]any{"max_attempts": 3, "default_requeue_delay": 0, "max_backoff_duration": 0})
	handler := refuser{make(chan uint16, 10), make(chan *nsq.Message, 10)}
	must(t, newConsumer(t, config, 1, handler).ConnectToNSQD(nsqd.tcp))
	if message := next(t, handler.givenUp); message.Attempts != 4 || len(handler.attempts) != 3 {
		t.Fatalf("given up at attempt %d, after %d", message.Attempts, len(handler.attempts))
	}
	channel := nsqd.waitForChannel(t, topic, "empty", channelStats.isEmpty)
	if channel.RequeueCount != 3 {
		t.Fatalf("%+v", channel)
	}
}

func TestEveryNsqdOfTheTopicIsFoundThroughNsqlookupd(t *testing.T) {
	t.Parallel()
	lookup := startNsqlookupd(t)
	registers := "--lookupd-tcp-address=" + lookup.tcp
	nsqds := []*daemon{startNsqd(t, registers), startNsqd(t, registers)}
	for number, nsqd := range nsqds {
		must(t, newProducer(t, nsqd, configuration(nil)).Publish(topic, bodies(3)[number]))
	}
	waitUntil(t, "both nsqd are registered", func() bool { return lookup.producers(t, topic) == 2 })
	messages := make(chan *nsq.Message, 10)
	consumer := newConsumer(t, configuration(map[string]any{"max_in_flight": 10}), 1,
		nsq.HandlerFunc(func(message *nsq.Message) error {
			messages <- message
			return nil
		}))
	must(t, consumer.ConnectToNSQLookupd(lookup.http))
	expectAll(t, messages, bodies(2))

	late := startNsqd(t, registers)
	must(t, newProducer(t, late, configuration(nil)).Publish(topic, bodies(3)[2]))
	expectAll(t, messages, bodies(3)[2:])
}

func TestBothSidesComeBackAfterARestartOfNsqd(t *testing.T) {
	t.Parallel()
	nsqd := startNsqd(t)
	producer := newProducer(t, nsqd, configuration(nil))
	must(t, producer.MultiPublish(topic, [][]byte{[]byte("in flight"), []byte("waiting")}))
	started, release := make(chan struct{}, 10), make(chan struct{})
	messages := make(chan *nsq.Message, 10)
	consumer := newConsumer(t, configuration(nil), 1, nsq.HandlerFunc(func(message *nsq.Message) error {
		started <- struct{}{}
		<-release
		messages <- message
		return nil
	}))
	must(t, consumer.ConnectToNSQD(nsqd.tcp))
	next(t, started)

	nsqd.stop(t)
	nsqd.start(t)
	close(release)
	waitUntil(t, "the producer is connected again", func() bool { return producer.Publish(topic, []byte("new")) == nil })
	// What was in flight comes again, for the daemon could not be told of its end.
	expectAll(t, messages, [][]byte{[]byte("in flight"), []byte("in flight"), []byte("waiting"), []byte("new")})
	nsqd.waitForChannel(t, topic, "empty", channelStats.isEmpty)
}

// throughput sends large and small messages both ways, and returns what the daemon says of the consumer.
func throughput(t *testing.T, nsqd *daemon, options map[string]any) clientStats {
	t.Helper()
	random := make([]byte, 300_000)
	rand.New(rand.NewSource(1)).Read(random)
	expected := append(bodies(200), random, bytes.Repeat([]byte("compressible "), 50_000), []byte("last"))
	producer := newProducer(t, nsqd, configuration(options))
	must(t, producer.MultiPublish(topic, expected[:len(expected)-1]))
	must(t, producer.Publish(topic, expected[len(expected)-1]))
	config := configuration(options)
	config.MaxInFlight = 50
	messages := consume(t, nsqd, config)
	expectAll(t, messages, expected)
	return nsqd.waitForChannel(t, topic, "empty", channelStats.isEmpty).Clients[0]
}

func trusting(t *testing.T) map[string]any {
	return map[string]any{"tls_v1": true, "tls_root_ca_file": certificate(t, "ca.pem"), "tls_min_version": "tls1.2"}
}

func tlsFlags(t *testing.T) []string {
	return []string{
		"--https-address=127.0.0.1:0",
		"--tls-cert=" + certificate(t, "server.pem"), "--tls-key=" + certificate(t, "server.key"),
	}
}

func TestMessagesCrossTLSWithAServerThatIsVerified(t *testing.T) {
	needs(t, "tls")
	t.Parallel()
	nsqd := startNsqd(t, append(tlsFlags(t), "--tls-required=tcp-https")...)
	if client := throughput(t, nsqd, trusting(t)); !client.TLS || client.TLSVersion == "" {
		t.Fatalf("%+v", client)
	}
	if err := newProducer(t, nsqd, configuration(nil)).Publish(topic, []byte("x")); err == nil {
		t.Fatal("a client without TLS was let in")
	}
	unknowing := configuration(map[string]any{"tls_v1": true})
	if err := newProducer(t, nsqd, unknowing).Publish(topic, []byte("x")); err == nil {
		t.Fatal("the client did not look at the certificate")
	}
}

func TestAClientShowsItsCertificateWhereOneIsAskedFor(t *testing.T) {
	needs(t, "tls")
	t.Parallel()
	nsqd := startNsqd(t, append(tlsFlags(t), "--tls-root-ca-file="+certificate(t, "ca.pem"),
		"--tls-client-auth-policy=require-verify", "--tls-required=tcp-https")...)
	options := trusting(t)
	if err := newProducer(t, nsqd, configuration(options)).Publish(topic, []byte("x")); err == nil {
		t.Fatal("a client without a certificate was let in")
	}
	options["tls_cert"], options["tls_key"] = certificate(t, "client.pem"), certificate(t, "client.key")
	throughput(t, nsqd, options)
}

func TestMessagesCrossSnappy(t *testing.T) {
	needs(t, "snappy")
	t.Parallel()
	if client := throughput(t, startNsqd(t), map[string]any{"snappy": true}); !client.Snappy {
		t.Fatalf("%+v", client)
	}
}

func TestMessagesCrossDeflate(t *testing.T) {
	needs(t, "deflate")
	t.Parallel()
	if client := throughput(t, startNsqd(t), map[string]any{"deflate": true}); !client.Deflate {
		t.Fatalf("%+v", client)
	}
}

func TestMessagesCrossCompressionInsideTLS(t *testing.T) {
	needs(t, "tls", "snappy", "deflate")
	t.Parallel()
	for _, compression := range []string{"snappy", "deflate"} {
		options := trusting(t)
		options[compression] = true
		client := throughput(t, startNsqd(t, tlsFlags(t)...), options)
		if !client.TLS || client.Snappy != (compression == "snappy") || client.Deflate != (compression == "deflate") {
			t.Fatalf("%s: %+v", compression, client)
		}
	}
}

func TestASecretOpensTheTopicThatItIsFor(t *testing.T) {
	needs(t, "auth")
	t.Parallel()
	nsqd := startNsqd(t, "--auth-http-address="+authorizationServer(t, "sesame", topic))
	client := throughput(t, nsqd, map[string]any{"auth_secret": "sesame"})
	if !client.Authed || client.AuthIdentity != "tester" {
		t.Fatalf("%+v", client)
	}
	if err := newProducer(t, nsqd, configuration(nil)).Publish(topic, []byte("x")); err == nil {
		t.Fatal("a client without a secret was let in")
	}
	if err := newProducer(t, nsqd, configuration(map[string]any{"auth_secret": "wrong"})).Publish(topic, []byte("x")); err == nil {
		t.Fatal("a wrong secret was accepted")
	}
	knowing := newProducer(t, nsqd, configuration(map[string]any{"auth_secret": "sesame"}))
	if err := knowing.Publish("elsewhere", []byte("x")); err == nil {
		t.Fatal("another topic was open")
	}
}
