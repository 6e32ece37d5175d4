// The holder of the stream. One multiplexed connection carries all events and the log of one followed run;
// further runs that are followed at the same time (two tabs on two runs) have a log connection of their own.
// It reconnects by itself, resuming from its cursor, because an EventSource that reconnects would go on asking
// with the cursor it was opened with. It knows nothing of React or of the query cache.
import type { Event, JobFrame, LogLine, ProgressFrame } from "@/api/types";
import { StreamCursor } from "./cursor";
import type { LiveMessage, LiveRequest, LiveStatus } from "./protocol";

export interface HubWorld {
  open(url: string): EventSource;
  /** True when the server says that nobody is signed in. */
  signedOut(): Promise<boolean>;
  now(): number;
  random(): number;
  setTimeout(run: () => void, ms: number): number;
  clearTimeout(id: number): void;
}

export type Post = (batch: LiveMessage[]) => void;

interface Client {
  post: Post;
  follows: Set<string>;
}

interface Source {
  stream: EventSource | null;
  retries: number;
  timer: number | null;
  /** The run whose log this connection carries. */
  run: string | null;
}

const BATCH_MS = 40;
const MAX_EXTRA = 3;

export class LiveHub {
  private readonly world: HubWorld;
  private readonly clients = new Map<number, Client>();
  private readonly cursor = new StreamCursor();
  private readonly main: Source = { stream: null, retries: 0, timer: null, run: null };
  private readonly extras = new Map<string, Source>();
  private readonly ended = new Set<string>();
  private status: LiveStatus;
  private nextClient = 1;
  private opened = false;
  private outbox: { message: LiveMessage; run: string | null }[] = [];
  private flushTimer: number | null = null;

  constructor(world: HubWorld) {
    this.world = world;
    this.status = { state: "connecting", since: world.now() };
  }

  join(post: Post): { id: number; receive: (request: LiveRequest) => void } {
    const id = this.nextClient++;
    this.clients.set(id, { post, follows: new Set() });
    post([{ type: "status", status: this.status }]);
    if (!this.main.stream && this.main.timer === null && this.status.state !== "signed-out") this.connectMain();
    return { id, receive: (request) => this.receive(id, request) };
  }

  private receive(id: number, request: LiveRequest): void {
    const client = this.clients.get(id);
    if (!client) return;
    switch (request.type) {
      case "follow": {
        client.follows.add(request.run);
        const again = this.ended.delete(request.run);
        const rewound = this.cursor.rewind(request.run, request.after);
        this.arrange(rewound || again ? request.run : null);
        break;
      }
      case "unfollow":
        client.follows.delete(request.run);
        this.arrange(null);
        break;
      case "wake":
        if (this.status.state === "signed-out" || this.status.state === "reconnecting") {
          this.close(this.main);
          this.connectMain();
        }
        break;
      case "bye":
        this.clients.delete(id);
        if (this.clients.size === 0) this.shutdown();
        else this.arrange(null);
        break;
    }
  }

  /** Brings the open connections in line with what is followed. `reopen` names a run whose log was rewound. */
  private arrange(reopen: string | null): void {
    const wanted = new Set<string>();
    for (const client of this.clients.values()) for (const run of client.follows) wanted.add(run);
    for (const [run, source] of this.extras) {
      if (wanted.has(run) && run !== reopen) continue;
      this.close(source);
      this.extras.delete(run);
      if (!wanted.has(run)) this.cursor.forget(run);
    }
    if (this.main.run && !wanted.has(this.main.run)) {
      // The connection may stay open: lines of a run that nobody follows are dropped until the next one comes.
      this.cursor.forget(this.main.run);
      this.main.run = null;
    }
    const waiting = [...wanted].filter((run) => run !== this.main.run && !this.extras.has(run) && !this.ended.has(run));
    if (reopen && reopen === this.main.run) {
      this.close(this.main);
      this.connectMain();
    }
    for (const run of waiting) {
      if (this.main.run === null) {
        this.main.run = run;
        this.close(this.main);
        this.connectMain();
      } else if (this.extras.size < MAX_EXTRA) {
        const source: Source = { stream: null, retries: 0, timer: null, run };
        this.extras.set(run, source);
        this.connectExtra(source, run);
      }
    }
  }

  private connectMain(): void {
    const query = new URLSearchParams();
    const position = this.cursor.position;
    if (position !== null) query.set("after", String(position));
    if (this.main.run) {
      query.set("logs", this.main.run);
      query.set("log_after", String(this.cursor.lineAfter(this.main.run)));
    }
    const text = query.toString();
    const stream = this.world.open(`/api/v1/stream${text ? `?${text}` : ""}`);
    this.main.stream = stream;
    stream.onopen = () => {
      this.main.retries = 0;
      this.setStatus("live");
      // Without a position the server begins at its newest event: what pages read before may already be old.
      if (!this.opened && position === null) this.queue({ type: "gap", run: null });
      this.opened = true;
    };
    stream.onerror = () => this.lost(this.main, () => this.connectMain());
    stream.addEventListener("event", (message) => {
      const event = JSON.parse(message.data as string) as Event;
      if (this.cursor.acceptEvent(event.pos)) this.queue({ type: "event", event });
    });
    stream.addEventListener("progress", (message) => {
      this.queue({ type: "progress", frame: JSON.parse(message.data as string) as ProgressFrame });
    });
    stream.addEventListener("job", (message) => {
      this.queue({ type: "job", frame: JSON.parse(message.data as string) as JobFrame });
    });
    this.listenForLog(stream, () => this.main.run);
  }

  private connectExtra(source: Source, run: string): void {
    const after = this.cursor.lineAfter(run);
    const stream = this.world.open(`/api/v1/runs/${encodeURIComponent(run)}/logs?after=${after}`);
    source.stream = stream;
    stream.onopen = () => {
      source.retries = 0;
    };
    stream.onerror = () => this.lost(source, () => this.connectExtra(source, run));
    this.listenForLog(stream, () => run);
  }

  private listenForLog(stream: EventSource, carried: () => string | null): void {
    stream.addEventListener("log", (message) => {
      const line = JSON.parse(message.data as string) as LogLine & { run_id?: string };
      const run = line.run_id ?? carried();
      if (run && run === carried() && this.cursor.acceptLine(run, line.n)) {
        this.ended.delete(run);
        this.queue({ type: "log", run, line });
      }
    });
    stream.addEventListener("end", (message) => {
      const data = message.data ? (JSON.parse(message.data as string) as { run_id?: string; reason?: string }) : {};
      const run = data.run_id ?? carried();
      // With a reason it is the stream that ended, and not the log.
      if (!run || data.reason) return;
      this.ended.add(run);
      this.queue({ type: "end", run });
      const extra = this.extras.get(run);
      if (extra) {
        this.close(extra);
        this.extras.delete(run);
      }
    });
    stream.addEventListener("gap", (message) => {
      const data = message.data ? (JSON.parse(message.data as string) as { run_id?: string; reason?: string }) : {};
      this.queue({ type: "gap", run: data.run_id ?? null });
    });
  }

  private lost(source: Source, again: () => void): void {
    const refused = source.stream?.readyState === 2;
    this.close(source);
    if (source === this.main) this.setStatus("reconnecting");
    const ms = Math.min(8000, 400 * 2 ** source.retries) * (0.75 + this.world.random() / 2);
    source.retries += 1;
    const retry = () => {
      source.timer = this.world.setTimeout(() => {
        source.timer = null;
        again();
      }, ms);
    };
    if (!refused) {
      retry();
      return;
    }
    // Refused rather than cut: find out whether the session has ended before asking again and again.
    void this.world.signedOut().then((out) => {
      if (source.stream || source.timer !== null) return;
      if (out) this.setStatus("signed-out");
      else retry();
    });
  }

  private close(source: Source): void {
    if (source.timer !== null) this.world.clearTimeout(source.timer);
    source.timer = null;
    source.stream?.close();
    source.stream = null;
  }

  private shutdown(): void {
    this.close(this.main);
    for (const source of this.extras.values()) this.close(source);
    this.extras.clear();
    if (this.main.run) this.cursor.forget(this.main.run);
    this.main.run = null;
    this.status = { state: "connecting", since: this.world.now() };
  }

  private setStatus(state: LiveStatus["state"]): void {
    if (this.status.state === state) return;
    this.status = { state, since: this.world.now() };
    this.queue({ type: "status", status: this.status });
  }

  private queue(message: LiveMessage): void {
    const run = message.type === "log" || message.type === "end" || message.type === "gap" ? message.run : null;
    this.outbox.push({ message, run });
    this.flushTimer ??= this.world.setTimeout(() => this.flush(), BATCH_MS);
  }

  private flush(): void {
    this.flushTimer = null;
    const sent = this.outbox;
    this.outbox = [];
    for (const client of this.clients.values()) {
      const batch = sent.filter(({ run }) => run === null || client.follows.has(run)).map(({ message }) => message);
      if (batch.length > 0) client.post(batch);
    }
  }
}
