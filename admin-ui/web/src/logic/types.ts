// The bodies of nsqadmin's API, key by key as src/api/admin.rs has them. `npm run check` holds them against the samples
// that the server's tests write.

/** A body, with what is to be said about it. */
export type Told<T> = T & { message: string; warnings?: Warning[] };

export interface Warning {
    node: string;
    service: string;
    reason: string;
}

export interface Topics {
    topics: string[] | null;
}

/** Topics that nobody has, and their channels. */
export interface InactiveTopics {
    topics: Record<string, string[] | null>;
}

/** A topic, on one node or on all (`*`). */
export interface Topic extends Deliveries {
    node: string;
    hostname: string;
    topic_name: string;
    depth: number;
    memory_depth: number;
    backend_depth: number;
    message_count: number;
    nodes: Topic[] | null;
    channels: Channel[] | null;
    paused: boolean;
    e2e_processing_latency: Latency;
}

/** A channel, on one node or on all (`*`). */
export interface Channel extends Deliveries {
    node: string;
    hostname: string;
    topic_name: string;
    channel_name: string;
    depth: number;
    memory_depth: number;
    backend_depth: number;
    in_flight_count: number;
    deferred_count: number;
    requeue_count: number;
    timeout_count: number;
    message_count: number;
    client_count: number;
    nodes: Channel[] | null;
    clients: Client[] | null;
    paused: boolean;
    e2e_processing_latency: Latency;
}

/** How near the consumers were. A key is left out where it is 0. */
export interface Deliveries {
    delivery_msg_count?: number;
    zone_local_msg_count?: number;
    region_local_msg_count?: number;
    global_msg_count?: number;
}

/** A connection of a consumer. What it calls itself is anybody's text. */
export interface Client {
    node: string;
    remote_address: string;
    version: string;
    client_id: string;
    hostname: string;
    user_agent: string;
    connect_ts: number;
    /** Nanoseconds. */
    connected: number;
    in_flight_count: number;
    ready_count: number;
    finish_count: number;
    requeue_count: number;
    message_count: number;
    /** Percent; 0 for all. */
    sample_rate: number;
    deflate: boolean;
    snappy: boolean;
    authed: boolean;
    auth_identity: string;
    auth_identity_url: string;
    node_topology_region?: string;
    node_topology_zone?: string;
    topology_region?: string;
    topology_zone?: string;
    tls: boolean;
    tls_cipher_suite: string;
    tls_version: string;
    tls_negotiated_protocol: string;
    tls_negotiated_protocol_is_mutual: boolean;
}

/** How long messages took from publishing to finishing. */
export interface Latency {
    count: number;
    percentiles: Percentile[] | null;
    topic: string;
    channel: string;
    host: string;
}

/** Nanoseconds. */
export interface Percentile {
    average: number;
    count: number;
    max: number;
    min: number;
    quantile: number;
    value?: number;
}

export interface Nodes {
    nodes: Node[] | null;
}

/** An nsqd, as the nsqlookupds know it. */
export interface Node {
    /** `<nsqlookupd>/<where it connects from>`; `null` where there is no nsqlookupd. */
    remote_addresses: string[] | null;
    remote_address: string;
    hostname: string;
    broadcast_address: string;
    tcp_port: number;
    http_port: number;
    version: string;
    topology_zone?: string;
    topology_region?: string;
    topics: { topic: string; tombstoned: boolean }[] | null;
    out_of_date: boolean;
}

export interface NodeDetail {
    node: string;
    topics: Topic[] | null;
    total_messages: number;
    total_clients: number;
}

/** By `topic:channel:node`. */
export interface Counter {
    stats: Record<string, { node: string; topic_name: string; channel_name: string; message_count: number }>;
}

/** What became of a change. */
export interface Done {
    outcomes?: Outcome[];
}

export interface Outcome {
    node: string;
    service: string;
    request: string;
    ok: boolean;
    reason: string;
}

export interface Settings {
    version: string;
    base_path: string;
    graph_enabled: boolean;
    graphite_url: string;
    statsd_interval: number;
    statsd_counter_format: string;
    statsd_gauge_format: string;
    statsd_prefix: string;
    /** Empty where nsqd are asked directly. */
    nsqlookupd: string[];
    has_login: boolean;
    /** 0 for never. */
    sample_interval_ms: number;
}

export interface Session {
    user: string;
    /** `admin`, `operator`, `viewer`, or `none` for one who must log in. */
    role: string;
    has_login: boolean;
}

export interface Overview {
    /** Unix milliseconds. */
    at: number;
    totals: Totals;
    channels: ChannelRow[];
    nodes: NodeRow[];
}

/** What changed since the event before. */
export interface Update {
    at: number;
    totals: Totals;
    channels: ChannelRow[];
    gone: [string, string | null][];
    nodes: NodeRow[];
}

export interface Totals {
    nodes: number;
    topics: number;
    channels: number;
    in_trouble: number;
    depth: number;
    rate_in: number | null;
    rate_out: number | null;
    message_count: number;
    without_history: number;
}

/** A channel; or, where `channel` is `null`, a topic: one without a channel, or what waits in the topic itself. */
export interface ChannelRow {
    topic: string;
    channel: string | null;
    depth: number;
    oldest_age_ms: number | null;
    rate_in: number | null;
    rate_out: number | null;
    in_flight: number;
    deferred: number;
    requeued: number;
    timed_out: number;
    timeouts_per_min: number | null;
    clients: number;
    ready: number;
    paused: boolean;
    topic_paused: boolean;
    nodes: number;
    trouble: Trouble[];
    spark?: (number | null)[];
}

export interface Trouble {
    code: string;
    reason: string;
}

/** An nsqd, as it is doing. */
export interface NodeRow {
    node: string;
    hostname: string;
    version: string;
    health: string;
    silent_ms: number;
    reason: string;
    depth: number;
    rate_in: number | null;
    rate_out: number | null;
    clients: number;
    topics: number;
    channels: number;
}

/** Numbers at even distances, oldest first, `null` where one is not known. */
export interface History {
    kind: string;
    node: string;
    topic: string;
    channel: string;
    /** Seconds from one number to the next. */
    step: number;
    /** Unix seconds of the first. */
    start: number;
    depth: (number | null)[];
    in_flight: (number | null)[];
    rate_in: (number | null)[];
    rate_out: (number | null)[];
    requeue_rate: (number | null)[];
    timeout_rate: (number | null)[];
}
