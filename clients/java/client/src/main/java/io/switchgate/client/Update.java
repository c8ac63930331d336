package io.switchgate.client;

import io.switchgate.v1.Event;
import io.switchgate.v1.Gap;
import io.switchgate.v1.Node;
import io.switchgate.v1.Session;
import io.switchgate.v1.Snapshot;
import java.util.List;

/** What an {@link EventSubscription} tells. */
public sealed interface Update {
    /**
     * Is behind everything told so far, this update included. To keep it is enough to go on after a restart of the program,
     * with the same gateway.
     */
    String cursor();

    /**
     * New events, in order.
     *
     * @param events at least one
     */
    record Events(String cursor, List<Event> events) implements Update {}

    /**
     * Says that the gateway misses events.
     *
     * @param gap why, and since when
     */
    record Missing(String cursor, Gap gap) implements Update {}

    /**
     * Says that no gateway holds the events behind the last cursor: its gateway is gone, or was away for longer than its
     * journal reaches. A subscription that began with a snapshot begins with another one. Any other goes on with the oldest
     * event of the new journal, without those that it has told. What is missing then is what happened while no gateway was in
     * service, or before the oldest event of the journal: nothing, when gateways are replaced one by one.
     *
     * @param cursor the last one, of the journal that is no longer there
     * @param reason the error, CURSOR_LOST
     */
    record Moved(String cursor, SwitchgateException reason) implements Update {}

    /**
     * A node whose state has changed.
     *
     * @param node as it is now
     */
    record NodeChanged(String cursor, Node node) implements Update {}

    /**
     * A part of what there is, of a subscription that begins so. After a {@link Moved}, and when a snapshot was cut short,
     * another one comes from its beginning.
     *
     * @param snapshot the part; {@link Snapshot#getNodesList}, {@link Session sessions} and calls
     */
    record SnapshotPart(String cursor, Snapshot snapshot) implements Update {}

    /**
     * Says that the snapshot is whole.
     *
     * @param counts of what was in it
     */
    record SnapshotWhole(String cursor, io.switchgate.v1.SnapshotEnd counts) implements Update {}
}
