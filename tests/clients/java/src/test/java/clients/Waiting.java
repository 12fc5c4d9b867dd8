package clients;

import static org.junit.Assert.assertNotNull;
import static org.junit.Assert.assertTrue;

import java.util.concurrent.BlockingQueue;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;

/** Waits for things, each with a deadline and an explanation. */
final class Waiting {
    /** A limit for a machine that is busy with other things; nothing here takes as long by itself. */
    private static final long PATIENCE_SECONDS = 45;

    private static final long POLL_MILLIS = 10;

    static void until(Callable<Boolean> condition, Supplier<String> explanation) throws Exception {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(PATIENCE_SECONDS);
        while (!condition.call()) {
            assertTrue("waited in vain: " + explanation.get(), System.nanoTime() < deadline);
            Thread.sleep(POLL_MILLIS);
        }
    }

    static <T> T next(BlockingQueue<T> queue) throws InterruptedException {
        T next = queue.poll(PATIENCE_SECONDS, TimeUnit.SECONDS);
        assertNotNull("waited in vain for a message", next);
        return next;
    }

    private Waiting() {}
}
