package clients;

import static clients.Waiting.next;
import static clients.Waiting.until;
import static java.nio.charset.StandardCharsets.UTF_8;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertThrows;
import static org.junit.Assert.assertTrue;
import static org.junit.Assume.assumeTrue;

import com.google.gson.JsonObject;
import com.sproutsocial.nsq.BackoffHandler;
import com.sproutsocial.nsq.Client;
import com.sproutsocial.nsq.Config;
import com.sproutsocial.nsq.Message;
import com.sproutsocial.nsq.MessageHandler;
import com.sproutsocial.nsq.NSQException;
import com.sproutsocial.nsq.Publisher;
import com.sproutsocial.nsq.Subscriber;
import com.sun.net.httpserver.HttpServer;
import java.io.InputStream;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import javax.net.ssl.SSLContext;
import javax.net.ssl.SSLSocketFactory;
import javax.net.ssl.TrustManagerFactory;
import org.junit.After;
import org.junit.Rule;
import org.junit.Test;
import org.junit.rules.Timeout;

/** What nsq-j can do. Its subscribers find nsqd through nsqlookupd, so that there is one of each in every test. */
public final class NsqJTest {
    private static final String TOPIC = "orders";

    /** How long a client may wait for handlers that are at work. */
    private static final int STOP_MILLIS = 100;

    /**
     * How often a subscriber looks for nsqd where the test does not wait for it. Seldom: a look while a pause of the
     * BackoffHandler ends can lock the library up.
     */
    private static final int LOOKUP_SECONDS = 60;

    /** Above all for what the library does while it is closed. */
    @Rule
    public final Timeout timeout = Timeout.seconds(90);

    /** What is to be closed after the test, what was opened last first. */
    private final Deque<AutoCloseable> opened = new ArrayDeque<>();

    private final Client client = new Client();
    private Config config = new Config();
    private Daemon lookup;

    @After
    public void close() throws Exception {
        client.stop(STOP_MILLIS);
        for (AutoCloseable one : opened) {
            one.close();
        }
    }

    @Test
    public void messagesPublishedOneByOneArriveOnceAndAreFinished() throws Exception {
        Daemon nsqd = start();
        Publisher publisher = publisher(nsqd);
        List<byte[]> expected = new ArrayList<>(bodies(100));
        expected.add(new byte[] {0, '\n', (byte) 0xff});
        expected.add("x".repeat(1_000_000).getBytes(UTF_8));
        for (byte[] body : expected) {
            publisher.publish(TOPIC, body);
        }
        expectAll(consume(10), expected);
        JsonObject channel = nsqd.emptied(TOPIC);
        assertEquals(expected.size(), channel.get("message_count").getAsInt());
        assertEquals(0, channel.get("requeue_count").getAsInt());
        assertEquals(expected.size(), client(channel).get("finish_count").getAsInt());
    }

    @Test
    public void aBatchArrivesWhole() throws Exception {
        Daemon nsqd = start();
        publisher(nsqd).publish(TOPIC, bodies(500));
        expectAll(consume(100), bodies(500));
        nsqd.emptied(TOPIC);
    }

    @Test
    public void aDeferredMessageArrivesWhenItsTimeHasCome() throws Exception {
        Publisher publisher = publisher(start());
        publisher.publish(TOPIC, bytes("first"));
        BlockingQueue<Message> messages = consume(1);
        assertEquals("first", text(next(messages)));
        long published = System.nanoTime();
        publisher.publishDeferred(TOPIC, bytes("later"), 400, TimeUnit.MILLISECONDS);
        publisher.publish(TOPIC, bytes("at once"));
        assertEquals("at once", text(next(messages)));
        assertEquals("later", text(next(messages)));
        assertTrue(System.nanoTime() - published >= TimeUnit.MILLISECONDS.toNanos(400));
    }

    @Test
    public void asManyMessagesAreInFlightAsTheSubscriberAllows() throws Exception {
        Daemon nsqd = start();
        publisher(nsqd).publish(TOPIC, bodies(12));
        CountDownLatch release = new CountDownLatch(1);
        subscribe(subscriber(), 5, message -> {
            await(release);
            message.finish();
        });
        nsqd.channelIs(TOPIC, Map.of("in_flight_count", 5, "depth", 7));
        release.countDown();
        nsqd.emptied(TOPIC);
    }

    @Test
    public void aRequeuedMessageComesBackAfterItsDelay() throws Exception {
        Daemon nsqd = start();
        publisher(nsqd).publish(TOPIC, bytes("order"));
        BlockingQueue<Long> arrivals = new LinkedBlockingQueue<>();
        BlockingQueue<Integer> attempts = new LinkedBlockingQueue<>();
        subscribe(subscriber(), 1, message -> {
            arrivals.add(System.nanoTime());
            attempts.add(message.getAttempts());
            if (message.getAttempts() == 1) {
                message.requeue(400);
            } else {
                message.finish();
            }
        });
        long first = next(arrivals);
        assertTrue(next(arrivals) - first >= TimeUnit.MILLISECONDS.toNanos(400));
        assertEquals(List.of(1, 2), List.of(next(attempts), next(attempts)));
        assertEquals(1, nsqd.emptied(TOPIC).get("requeue_count").getAsInt());
    }

    @Test
    public void aFailureBacksTheSubscriberOffAndASuccessBringsItBack() throws Exception {
        Daemon nsqd = start();
        publisher(nsqd).publish(TOPIC, bytes("order"));
        BlockingQueue<Long> arrivals = new LinkedBlockingQueue<>();
        MessageHandler refusesTwice = message -> {
            arrivals.add(System.nanoTime());
            if (message.getAttempts() <= 2) {
                throw new IllegalStateException("this one is refused");
            }
        };
        subscribe(subscriber(), 1, new BackoffHandler(refusesTwice, 200, 10_000));
        long first = next(arrivals);
        long second = next(arrivals);
        // The library counts the pause in whole milliseconds of its clock, and may begin it one early.
        assertTrue(second - first > TimeUnit.MILLISECONDS.toNanos(199));
        assertTrue(next(arrivals) - second > TimeUnit.MILLISECONDS.toNanos(200));
        assertEquals(2, nsqd.emptied(TOPIC).get("requeue_count").getAsInt());
    }

    @Test
    public void aLongJobIsKeptByTouchingItAndLostWithout() throws Exception {
        config.setMsgTimeout(1000);
        Daemon nsqd = start();
        publisher(nsqd).publish(TOPIC, List.of(bytes("touched"), bytes("forgotten")));
        CountDownLatch cameAgain = new CountDownLatch(2);
        BlockingQueue<Integer> touched = new LinkedBlockingQueue<>();
        subscribe(subscriber(), 3, message -> {
            if (text(message).equals("forgotten")) {
                cameAgain.countDown();
                if (message.getAttempts() == 2) {
                    message.finish();
                }
                return;
            }
            // As long as it takes the other one to run into the timeout, and at least twice the timeout.
            long end = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(2200);
            while (cameAgain.getCount() > 0 || System.nanoTime() < end) {
                message.touch();
                sleep(200);
            }
            message.finish();
            touched.add(message.getAttempts());
        });
        assertEquals(1, next(touched).intValue());
        assertEquals(1, nsqd.emptied(TOPIC).get("timeout_count").getAsInt());
    }

    @Test
    public void aMessageIsGivenUpAfterTheLastAttempt() throws Exception {
        Daemon nsqd = start();
        publisher(nsqd).publish(TOPIC, bytes("poison"));
        BlockingQueue<Message> givenUp = new LinkedBlockingQueue<>();
        BlockingQueue<Integer> attempts = new LinkedBlockingQueue<>();
        Subscriber subscriber = subscriber();
        subscriber.setMaxAttempts(3);
        subscriber.setFailedMessageHandler((topic, channel, message) -> givenUp.add(message));
        subscribe(subscriber, 1, message -> {
            attempts.add(message.getAttempts());
            message.requeue(0);
        });
        // The library gives the last one to nobody else.
        assertEquals(3, next(givenUp).getAttempts());
        assertEquals("[1, 2]", attempts.toString());
        assertEquals(2, nsqd.emptied(TOPIC).get("requeue_count").getAsInt());
    }

    @Test
    public void everyNsqdOfTheTopicIsFoundThroughNsqlookupd() throws Exception {
        List<byte[]> expected = bodies(2);
        for (byte[] body : expected) {
            publisher(start()).publish(TOPIC, body);
        }
        until(() -> lookup.producers(TOPIC) == 2, () -> "both nsqd register");
        BlockingQueue<Message> messages = consume(subscriber(1), 10);
        expectAll(messages, expected);
        publisher(start()).publish(TOPIC, bytes("late"));
        expectAll(messages, List.of(bytes("late")));
    }

    @Test
    public void bothSidesComeBackAfterARestartOfNsqd() throws Exception {
        Daemon nsqd = start();
        Publisher publisher = publisher(nsqd);
        publisher.publish(TOPIC, List.of(bytes("in flight"), bytes("waiting")));
        BlockingQueue<String> received = new LinkedBlockingQueue<>();
        AtomicInteger held = new AtomicInteger();
        subscribe(subscriber(1), 1, message -> {
            received.add(text(message));
            if (held.getAndIncrement() > 0) {
                message.finish();
            }
        });
        String first = next(received);
        nsqd.restart();
        until(() -> publishes(publisher, "new"), () -> "the publisher is connected again");
        // What was in flight comes again, for the daemon was not told of its end.
        List<String> all = new ArrayList<>(List.of(first));
        for (int count = 1; count < 4; count++) {
            all.add(next(received));
        }
        all.sort(null);
        assertEquals(List.of("in flight", "in flight", "new", "waiting"), all);
        nsqd.emptied(TOPIC);
    }

    @Test
    public void messagesCrossTlsWithAServerThatIsVerified() throws Exception {
        needs("tls");
        config.setTlsV1(true);
        client.setSSLSocketFactory(trusting());
        Daemon nsqd = start(tlsFlags("--tls-required=tcp-https"));
        assertTrue(throughput(nsqd).get("tls").getAsBoolean());

        Client unknowing = new Client();
        opened.push(() -> unknowing.stop(STOP_MILLIS));
        Publisher publisher = new Publisher(unknowing, nsqd.tcp, null);
        publisher.setConfig(config);
        assertThrows("it did not look at the certificate", NSQException.class, () -> publisher.publish(TOPIC, bytes("x")));
    }

    @Test
    public void messagesCrossSnappy() throws Exception {
        needs("snappy");
        config.setSnappy(true);
        assertTrue(throughput(start()).get("snappy").getAsBoolean());
    }

    @Test
    public void messagesCrossDeflate() throws Exception {
        needs("deflate");
        config.setDeflate(true);
        assertTrue(throughput(start()).get("deflate").getAsBoolean());
    }

    @Test
    public void messagesCrossSnappyInsideTls() throws Exception {
        needs("tls", "snappy");
        config.setTlsV1(true);
        config.setSnappy(true);
        client.setSSLSocketFactory(trusting());
        JsonObject consumer = throughput(start(tlsFlags()));
        assertTrue(consumer.get("tls").getAsBoolean() && consumer.get("snappy").getAsBoolean());
    }

    @Test
    public void messagesCrossDeflateInsideTls() throws Exception {
        needs("tls", "deflate");
        config.setTlsV1(true);
        config.setDeflate(true);
        client.setSSLSocketFactory(trusting());
        JsonObject consumer = throughput(start(tlsFlags()));
        assertTrue(consumer.get("tls").getAsBoolean() && consumer.get("deflate").getAsBoolean());
    }

    @Test
    public void aSecretOpensTheTopicThatItIsFor() throws Exception {
        needs("auth");
        Daemon nsqd = start("--auth-http-address=" + authorizationServer("sesame"));
        client.setAuthSecret("sesame");
        JsonObject consumer = throughput(nsqd);
        assertTrue(consumer.get("authed").getAsBoolean());
        assertEquals("tester", consumer.get("auth_identity").getAsString());

        Client unknowing = new Client();
        opened.push(() -> unknowing.stop(STOP_MILLIS));
        unknowing.setAuthSecret("wrong");
        Publisher publisher = new Publisher(unknowing, nsqd.tcp, null);
        assertThrows(NSQException.class, () -> publisher.publish(TOPIC, bytes("x")));
    }

    /** Sends large and small messages both ways; returns what the daemon says of the subscriber. */
    private JsonObject throughput(Daemon nsqd) throws Exception {
        byte[] noise = new byte[300_000];
        new Random(1).nextBytes(noise);
        List<byte[]> expected = new ArrayList<>(bodies(200));
        expected.add(noise);
        expected.add("compressible ".repeat(50_000).getBytes(UTF_8));
        Publisher publisher = publisher(nsqd);
        publisher.publish(TOPIC, expected);
        publisher.publish(TOPIC, bytes("last"));
        expected.add(bytes("last"));
        expectAll(consume(50), expected);
        return client(nsqd.emptied(TOPIC));
    }

    /** Starts nsqd, which registers with the test's nsqlookupd. */
    private Daemon start(String... flags) throws Exception {
        if (lookup == null) {
            lookup = Daemon.nsqlookupd();
            opened.push(lookup);
        }
        List<String> all = new ArrayList<>(List.of("--lookupd-tcp-address=" + lookup.tcp));
        all.addAll(List.of(flags));
        Daemon nsqd = Daemon.nsqd(all.toArray(String[]::new));
        opened.push(nsqd);
        return nsqd;
    }

    private Publisher publisher(Daemon nsqd) {
        Publisher publisher = new Publisher(client, nsqd.tcp, null);
        publisher.setConfig(config);
        return publisher;
    }

    private static boolean publishes(Publisher publisher, String body) {
        try {
            publisher.publish(TOPIC, bytes(body));
            return true;
        } catch (NSQException error) {
            return false;
        }
    }

    private Subscriber subscriber() throws Exception {
        return subscriber(LOOKUP_SECONDS);
    }

    private Subscriber subscriber(int lookupSeconds) throws Exception {
        until(() -> lookup.producers(TOPIC) > 0, () -> "nsqd registers");
        Subscriber subscriber = new Subscriber(client, lookupSeconds, 10, lookup.http);
        subscriber.setConfig(config);
        // By default two seconds pass before the daemon is told that something is finished.
        subscriber.setMaxFlushDelayMillis(20);
        return subscriber;
    }

    private static void subscribe(Subscriber subscriber, int maxInFlight, MessageHandler handler) {
        subscriber.subscribe(TOPIC, "billing", maxInFlight, handler);
    }

    /** Finishes every message, and hands it over. */
    private BlockingQueue<Message> consume(int maxInFlight) throws Exception {
        return consume(subscriber(), maxInFlight);
    }

    private static BlockingQueue<Message> consume(Subscriber subscriber, int maxInFlight) {
        BlockingQueue<Message> messages = new LinkedBlockingQueue<>();
        subscribe(subscriber, maxInFlight, message -> {
            message.finish();
            messages.add(message);
        });
        return messages;
    }

    /** Waits until each of the bodies came once, in any order. */
    private static void expectAll(BlockingQueue<Message> messages, List<byte[]> expected) throws Exception {
        List<byte[]> received = new ArrayList<>();
        for (int count = 0; count < expected.size(); count++) {
            received.add(next(messages).getData());
        }
        received.sort(Arrays::compare);
        List<byte[]> sorted = new ArrayList<>(expected);
        sorted.sort(Arrays::compare);
        assertTrue("other messages came", Arrays.deepEquals(sorted.toArray(), received.toArray()));
    }

    private static JsonObject client(JsonObject channel) {
        return channel.getAsJsonArray("clients").get(0).getAsJsonObject();
    }

    private static List<byte[]> bodies(int count) {
        List<byte[]> bodies = new ArrayList<>();
        for (int number = 0; number < count; number++) {
            bodies.add(bytes("order " + number));
        }
        return bodies;
    }

    private static byte[] bytes(String text) {
        return text.getBytes(UTF_8);
    }

    private static String text(Message message) {
        return new String(message.getData(), UTF_8);
    }

    /** Skips the test where the daemon is said not to have all of these yet. */
    private static void needs(String... features) {
        List<String> present = List.of(String.valueOf(System.getenv("NSQ_CLIENT_FEATURES")).split(" "));
        for (String feature : features) {
            assumeTrue("switched off: " + feature + " is not in NSQ_CLIENT_FEATURES", present.contains(feature));
        }
    }

    private static Path certificate(String name) {
        return Path.of(System.getenv("NSQ_CERTIFICATES")).resolve(name);
    }

    private static String[] tlsFlags(String... further) {
        List<String> flags = new ArrayList<>(List.of(
                "--https-address=127.0.0.1:0",
                "--tls-cert=" + certificate("server.pem"),
                "--tls-key=" + certificate("server.key")));
        flags.addAll(List.of(further));
        return flags.toArray(String[]::new);
    }

    private static SSLSocketFactory trusting() throws Exception {
        KeyStore store = KeyStore.getInstance(KeyStore.getDefaultType());
        store.load(null);
        try (InputStream file = Files.newInputStream(certificate("ca.pem"))) {
            store.setCertificateEntry("authority", CertificateFactory.getInstance("X.509").generateCertificate(file));
        }
        TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(store);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, trust.getTrustManagers(), null);
        return context.getSocketFactory();
    }

    /** Permits the topic to whoever knows the secret; returns its address. */
    private String authorizationServer(String secret) throws Exception {
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", 0), 0);
        String permitted =
                "{\"topic\":\"" + TOPIC + "\",\"channels\":[\".*\"],\"permissions\":[\"subscribe\",\"publish\"]}";
        server.createContext("/", exchange -> {
            String asked = exchange.getRequestURI() + new String(exchange.getRequestBody().readAllBytes(), UTF_8);
            String granted = asked.contains("secret=" + secret) ? permitted : "";
            byte[] answer = bytes("{\"ttl\":3600,\"identity\":\"tester\",\"authorizations\":[" + granted + "]}");
            exchange.sendResponseHeaders(200, answer.length);
            exchange.getResponseBody().write(answer);
            exchange.close();
        });
        server.start();
        opened.push(() -> server.stop(0));
        return "127.0.0.1:" + server.getAddress().getPort();
    }

    private static void await(CountDownLatch latch) {
        try {
            latch.await();
        } catch (InterruptedException error) {
            throw new IllegalStateException(error);
        }
    }

    private static void sleep(long millis) {
        try {
            Thread.sleep(millis);
        } catch (InterruptedException error) {
            throw new IllegalStateException(error);
        }
    }
}
