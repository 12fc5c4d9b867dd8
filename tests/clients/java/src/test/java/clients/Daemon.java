package clients;

import static clients.Waiting.until;
import static org.junit.Assert.assertEquals;
import static org.junit.Assert.assertNotNull;
import static org.junit.Assert.assertTrue;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * nsqd or nsqlookupd, on free ports and with data that goes away with it, ended by its process.
 *
 * <p>Stopped and started again, it keeps its ports. The clients are none of its business.
 */
final class Daemon implements AutoCloseable {
    private static final HttpClient HTTP = HttpClient.newHttpClient();

    String tcp = "127.0.0.1:0";
    String http = "127.0.0.1:0";

    private final String name;
    private final Path directory;
    private final List<String> flags = new ArrayList<>();
    private Process process;

    static Daemon nsqd(String... flags) throws Exception {
        Daemon daemon = new Daemon("nsqd");
        daemon.flags.addAll(List.of("--data-path=" + daemon.directory, "--broadcast-address=127.0.0.1"));
        daemon.flags.addAll(List.of(flags));
        return daemon.start();
    }

    static Daemon nsqlookupd() throws Exception {
        return new Daemon("nsqlookupd").start();
    }

    private Daemon(String name) throws IOException {
        this.name = name;
        directory = Files.createTempDirectory("nsq-j-");
    }

    void restart() throws Exception {
        process.destroy();
        assertEquals(0, process.waitFor());
        start();
    }

    /** Ends it at once. */
    @Override
    public void close() throws Exception {
        process.destroyForcibly().waitFor();
        try (var files = Files.walk(directory)) {
            files.sorted(Comparator.reverseOrder()).forEach(file -> file.toFile().delete());
        }
    }

    /** How many nsqd this nsqlookupd names for the topic. */
    int producers(String topic) throws Exception {
        JsonArray producers = get("/lookup?topic=" + topic).getAsJsonArray("producers");
        return producers == null ? 0 : producers.size();
    }

    /** What /stats says of the topic's only channel; nothing where there is none yet. */
    JsonObject channel(String topic) throws Exception {
        for (var found : get("/stats?format=json&topic=" + topic).getAsJsonArray("topics")) {
            for (var channel : found.getAsJsonObject().getAsJsonArray("channels")) {
                return channel.getAsJsonObject();
            }
        }
        return new JsonObject();
    }

    /** Waits until the channel's statistics have these values; returns all of them. */
    JsonObject channelIs(String topic, Map<String, Integer> expected) throws Exception {
        JsonObject[] last = {null};
        until(
                () -> {
                    JsonObject channel = last[0] = channel(topic);
                    return expected.entrySet().stream()
                            .allMatch(one -> channel.has(one.getKey())
                                    && channel.get(one.getKey()).getAsInt() == one.getValue());
                },
                () -> "expected " + expected + ", have " + last[0]);
        return last[0];
    }

    JsonObject emptied(String topic) throws Exception {
        return channelIs(topic, Map.of("depth", 0, "in_flight_count", 0, "deferred_count", 0));
    }

    private Daemon start() throws Exception {
        String variable = name.toUpperCase();
        String program = System.getenv(variable);
        assertNotNull(variable + " does not name the program; `make clients-java` does", program);
        List<String> command = new ArrayList<>(List.of(program, "--tcp-address=" + tcp, "--http-address=" + http));
        command.addAll(flags);
        process = new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(log().toFile()).start();
        tcp = logged("TCP: listening on (\\S+)");
        http = logged("HTTP: listening on (\\S+)");
        return this;
    }

    private Path log() {
        return directory.resolve("log");
    }

    private String logged(String pattern) throws Exception {
        String[] found = {null};
        until(
                () -> {
                    String text = Files.readString(log());
                    Matcher matcher = Pattern.compile(pattern).matcher(text);
                    if (matcher.find()) {
                        found[0] = matcher.group(1);
                    }
                    assertTrue(name + " ended: " + text, process.isAlive());
                    return found[0] != null;
                },
                () -> name + " writes " + pattern);
        return found[0];
    }

    private JsonObject get(String target) throws Exception {
        HttpRequest request = HttpRequest.newBuilder(URI.create("http://" + http + target)).build();
        String body = HTTP.send(request, HttpResponse.BodyHandlers.ofString()).body();
        return new JsonParser().parse(body).getAsJsonObject();
    }
}
