// One camera, live: offers, plays, notices when it no longer does, and tries again.

import { Control } from "./control.js";
import { StampReader, ageMs, nowMs } from "./stamp.js";
import { StatsReader } from "./stats.js";
import { wordsFor } from "./words.js";

const ANSWER_TIMEOUT_MS = 13_000; // the portal gives up after 10 s, and says so
const CONNECT_TIMEOUT_MS = 20_000;
const PICTURE_TIMEOUT_MS = 12_000;
const STALLED_AFTER_MS = 1_500; // or five frame intervals, for slow cameras
const RESTART_EVERY_MS = 5_000;
const GIVE_UP_AFTER_MS = 30_000; // the camera has then forgotten this session (RFC 7675)
const SUSPICIOUS_AFTER_MS = 500;
const JUDGE_EVERY_MS = 125;
const FIRST_PAUSE_MS = 1_000;
const LONGEST_PAUSE_MS = 30_000;
const UNTOLD_PAUSE_MS = 60_000;
const STEADY_AFTER_MS = 10_000;
const MAX_LATENCIES = 3_000;
const MAX_EARLY_CANDIDATES = 64;
/** The portal tells when these are over; a slow retry of our own covers the news that got lost. */
const WAITS_FOR_PORTAL = new Set(["offline", "unknown-camera", "broker-away", "portal-away"]);

/**
 * Events: "change" when `state` changed, "stats" once a second while connected.
 * `state` is {phase, title, advice, retryAt}: phase asking, connecting, waiting, playing, stalled, retrying or
 * unsupported; retryAt in ms since the epoch, or null where the portal will tell. While stalled the session stays, and
 * ICE restarts look for another path.
 */
export class Viewer extends EventTarget {
  state = { phase: "asking", title: "", advice: "", retryAt: null };
  stats = {};
  latencies = [];
  hasStamp = false;
  /** What is shown stands still, as a recorded picture may: then silence is no fault. */
  isStill = false;
  /** Of the camera's stream, as the device says. */
  fps = 0;
  #signal;
  #device;
  #video;
  #iceServers;
  #stream;
  #pc = null;
  #control = null;
  #stick = null;
  #session = null;
  #remoteCandidates = [];
  #localCandidates = [];
  #hasAnswer = false;
  #attempt = 0;
  #deadline = 0;
  #timer = 0;
  #ticker = 0;
  #judging = 0;
  #ticks = 0;
  #playingSince = 0;
  #restartedAt = -Infinity;
  #lastFrames = 0;
  #lastFrameAt = 0;
  #checkedAt = 0;
  #stamps = new StampReader();
  #startedAt = 0;
  #statsReader = new StatsReader();
  #code = null;
  #refusal = "";
  #silent = new Set();

  /** @param {() => RTCIceServer[]} iceServers asked anew for each attempt, since credentials expire. */
  constructor({ signal, device, video, iceServers, stream = "main" }) {
    super();
    this.#signal = signal;
    this.#device = device;
    this.#video = video;
    this.#iceServers = iceServers;
    this.#stream = stream;
  }

  /** The stream that is asked for: "main" or "preview". */
  get stream() {
    return this.#stream;
  }

  /** Why it last failed: one of the codes of `words.js`, or null. */
  get code() {
    return this.#code;
  }

  /** Ask for another stream; a session that is open goes on with it. */
  want(stream) {
    this.#stream = stream;
    this.#control?.wantStream(stream);
  }

  /** The session's channel for a head, made when it is wanted: without order or repeats, since only the newest counts. */
  openStick() {
    if (!this.#pc || this.#pc.connectionState === "closed") return null;
    this.#stick ??= this.#pc.createDataChannel("ptz", { ordered: false, maxRetransmits: 0 });
    return this.#stick;
  }

  /** Another data channel of the session; null while there is none. */
  openChannel(label, protocol) {
    return this.#pc?.connectionState === "connected" ? this.#pc.createDataChannel(label, { protocol }) : null;
  }

  /** What the device last said of this session, with when that came; null before. */
  get deviceStats() {
    return this.#control?.deviceStats ?? null;
  }

  askStats() {
    this.#control?.askStats();
  }

  /** Have the camera do something within the session: `{ok, code, message}`. */
  async command(name, wish = {}) {
    return this.#control ? this.#control.command(name, wish) : { ok: false, code: "lost", message: "The camera is not connected." };
  }

  start() {
    this.#ticker = setInterval(() => this.#tick(), 1000);
    this.#judging = setInterval(() => this.#judgeNow(performance.now()), JUDGE_EVERY_MS);
    this.#watchFrames();
    this.#connect();
  }

  stop() {
    clearInterval(this.#ticker);
    clearInterval(this.#judging);
    clearTimeout(this.#timer);
    this.#hangUp();
    this.#ticker = 0;
  }

  retryNow() {
    this.#attempt = 0;
    this.#connect();
  }

  /** The portal went away: what is playing plays on, since media does not pass through the portal. */
  onPortalAway() {
    if (this.state.phase === "asking" || this.state.phase === "connecting") this.#fail("portal-away");
  }

  /** What we waited for came back: the portal, the broker or the camera. */
  onReachable() {
    if (this.state.phase === "retrying" && WAITS_FOR_PORTAL.has(this.#code)) this.retryNow();
    else if (this.state.phase === "stalled" || this.#isSuspicious(performance.now())) {
      this.#restartedAt = -Infinity; // what was sent before may be lost
      this.#restart();
    }
  }

  /** Another WebSocket, perhaps to another portal: it goes on with what plays, if we may still watch. */
  resume() {
    if (!["waiting", "playing", "stalled"].includes(this.state.phase)) return;
    this.#signal.send({ type: "resume", session: this.#session, device: this.#device, stream: this.#stream });
  }

  /** New credentials: a relay that was made with the old ones would end with them. */
  onIceServers() {
    if (this.stats.path === "relay") this.#restart();
  }

  /** A message of the portal's; those of other sessions are ignored. */
  onMessage(message) {
    if (message.session !== this.#session || this.#session === null) return;
    if (message.type === "answer") this.#onAnswer(message.sdp);
    else if (message.type === "candidate") this.#onCandidate(message.candidate);
    else if (message.type === "restart") this.#restart();
    else if (message.type === "reject" && message.code === "session-over") this.retryNow();
    else if (message.type === "reject") this.#fail(message.code, message.message, message.retry_after_s);
    else if (message.type === "bye") this.#fail(this.#playingSince ? "ended" : "gave-up", message.reason);
    else if (message.type === "error" && this.state.phase === "asking") this.#fail(message.code, message.message);
  }

  async #connect() {
    clearTimeout(this.#timer);
    this.#hangUp();
    if (!this.#signal.isUp) return this.#fail("portal-away");
    const unsupported = whyUnsupported();
    if (unsupported) return this.#enter("unsupported", wordsFor(unsupported));
    this.#enter("asking");
    this.#startedAt = performance.now();
    this.#deadline = this.#startedAt + ANSWER_TIMEOUT_MS;
    this.#session = newSession();
    try {
      await this.#offer(this.#session);
    } catch (error) {
      this.#fail("setup", String(error.message ?? error));
    }
  }

  async #offer(session) {
    const pc = new RTCPeerConnection({ iceServers: this.#iceServers(), bundlePolicy: "max-bundle" });
    this.#pc = pc;
    const transceiver = pc.addTransceiver("video", { direction: "recvonly" });
    transceiver.setCodecPreferences?.(h264First());
    transceiver.receiver.jitterBufferTarget = 0;
    transceiver.receiver.playoutDelayHint = 0;
    const channel = pc.createDataChannel("control", { ordered: true });
    channel.onopen = () => this.#onControlOpen(pc, channel);
    this.#control = new Control(channel);
    pc.ontrack = (event) => this.#onTrack(pc, event);
    pc.onicecandidate = (event) => this.#onLocalCandidate(session, event.candidate);
    pc.onicecandidateerror = (event) => this.#onServerError(event);
    pc.onconnectionstatechange = () => this.#onConnectionState(pc);
    await pc.setLocalDescription();
    if (pc !== this.#pc) return;
    const message = { type: "offer", session, device: this.#device, sdp: pc.localDescription.sdp, relay_only: false, stream: this.#stream };
    if (!this.#signal.send(message)) return this.#fail("portal-away");
    for (const candidate of this.#localCandidates.splice(0)) this.#sendCandidate(session, candidate);
  }

  /** ICE restart (RFC 8445 section 9): new candidates at both ends; DTLS and the stream go on. */
  async #restart() {
    const pc = this.#pc;
    const isPlaying = this.state.phase === "playing" || this.state.phase === "stalled";
    if (!pc || !isPlaying || !this.#signal.isUp || performance.now() - this.#restartedAt < RESTART_EVERY_MS) return;
    this.#restartedAt = performance.now();
    try {
      if (pc.signalingState !== "stable") await pc.setLocalDescription({ type: "rollback" }); // the last one got no answer
      pc.setConfiguration({ ...pc.getConfiguration(), iceServers: this.#iceServers() });
      pc.restartIce();
      this.#hasAnswer = false;
      this.#remoteCandidates = [];
      await pc.setLocalDescription();
      if (pc !== this.#pc) return;
      const sdp = pc.localDescription.sdp;
      this.#signal.send({ type: "offer", session: this.#session, device: this.#device, sdp, relay_only: false, restart: true });
    } catch {
      if (pc === this.#pc) this.#fail("lost");
    }
  }

  #sendCandidate(session, candidate) {
    if (session !== this.#session) return;
    const sdp = this.#pc?.localDescription;
    if (!sdp) this.#localCandidates.push(candidate);
    else this.#signal.send({ type: "candidate", session, candidate });
  }

  async #onAnswer(sdp) {
    const pc = this.#pc;
    // A restart that was sent again has two answers; only the newest offer's counts.
    if (pc.signalingState !== "have-local-offer" || !isAnswerTo(sdp, pc.localDescription.sdp)) return;
    try {
      await pc.setRemoteDescription({ type: "answer", sdp });
      if (pc !== this.#pc) return;
      this.#hasAnswer = true;
      if (this.state.phase === "asking") this.#enter("connecting");
      this.#deadline = performance.now() + CONNECT_TIMEOUT_MS;
      for (const candidate of this.#remoteCandidates.splice(0)) this.#onCandidate(candidate);
    } catch (error) {
      if (pc === this.#pc) this.#fail("bad-answer", `The camera's answer is unusable: ${error.message}`);
    }
  }

  #onCandidate(candidate) {
    if (!this.#hasAnswer) {
      // Candidates may overtake the answer; applied too early they throw InvalidStateError.
      if (this.#remoteCandidates.length < MAX_EARLY_CANDIDATES) this.#remoteCandidates.push(candidate);
      return;
    }
    // One that cannot be used leaves the others.
    this.#pc.addIceCandidate({ candidate, sdpMid: "0", sdpMLineIndex: 0 }).catch(() => {});
  }

  /** A code below 700 is the server's own (RFC 8489); 701 only says that it cannot be reached, maybe one way of several. */
  #onServerError({ url, errorCode, errorText }) {
    if (errorCode < 700) this.#refusal = `${url}: ${errorCode} ${errorText}`;
    else this.#silent.add(url);
  }

  #onLocalCandidate(session, candidate) {
    this.#silent.delete(candidate?.url);
    this.#sendCandidate(session, candidate?.candidate ?? "");
  }

  #onTrack(pc, event) {
    if (pc !== this.#pc) return;
    this.#video.srcObject = event.streams[0] ?? new MediaStream([event.track]);
    this.#video.play().catch(() => {}); // refused only where the page is hidden; it plays when shown
  }

  #onConnectionState(pc) {
    if (pc !== this.#pc) return;
    const state = pc.connectionState;
    if (state === "connected" && this.state.phase === "connecting") {
      this.#enter("waiting");
      this.#deadline = performance.now() + PICTURE_TIMEOUT_MS;
    }
    if (state === "disconnected") this.#restart();
    if (state === "failed" && !this.#playingSince) this.#fail("no-path");
    if (state === "closed") this.#fail("lost");
  }

  #onControlOpen(pc, channel) {
    if (pc !== this.#pc) return;
    this.#control.ping();
    this.#control.wantStream(this.#stream); // it may have changed since the offer
    // The quickest sign that the camera's agent has stopped or restarted.
    channel.onclose = () => pc === this.#pc && this.#fail("lost");
  }

  #onFirstPicture() {
    this.#playingSince = performance.now();
    this.stats.firstPictureMs = this.#playingSince - this.#startedAt;
    this.#enter("playing");
  }

  /** Called for each picture that is shown: the first one, and the stamp in the others. */
  #watchFrames() {
    const onFrame = () => {
      if (!this.#ticker) return;
      this.#lastFrameAt = performance.now();
      if (this.state.phase === "stalled") this.#enter("playing");
      if (this.#pc && (this.state.phase === "waiting" || this.state.phase === "connecting")) this.#onFirstPicture();
      if (this.state.phase === "playing" && this.hasStamp) this.#readStamp();
      this.#video.requestVideoFrameCallback(onFrame);
    };
    this.#video.requestVideoFrameCallback?.(onFrame);
  }

  #readStamp() {
    const offset = this.#control.clockOffsetMs;
    if (offset === null) return;
    const now = nowMs() + offset;
    const stamp = this.#stamps.read(this.#video);
    if (stamp === null) return;
    this.latencies.push(ageMs(stamp, now));
    if (this.latencies.length > MAX_LATENCIES) this.latencies.shift();
  }

  async #tick() {
    const pc = this.#pc;
    if (!pc) return;
    this.#ticks += 1;
    this.#control.ping();
    if (this.#ticks % 2 === 0) this.#control.askStats();
    const report = await pc.getStats();
    if (pc !== this.#pc) return;
    const summary = this.#statsReader.summarize(report);
    Object.assign(this.stats, summary, { device: this.#control.deviceStats, latencyMs: this.#recentLatency() });
    this.#noteFrames();
    if (this.state.phase === "waiting") this.#control.askKeyframe();
    this.dispatchEvent(new Event("stats"));
  }

  #recentLatency() {
    const recent = this.latencies.slice(-30).sort((a, b) => a - b);
    return recent.length ? recent[recent.length >> 1] : undefined;
  }

  /** In a hidden page no frame callback comes, yet pictures are decoded. */
  #noteFrames() {
    const frames = this.stats.framesDecoded ?? 0;
    if (document.hidden && frames > this.#lastFrames) {
      this.#lastFrameAt = performance.now();
      if (this.state.phase === "waiting") this.#onFirstPicture();
      if (this.state.phase === "stalled") this.#enter("playing");
    }
    this.#lastFrames = frames;
  }

  /** Is it still going on? */
  #judgeNow(now) {
    const { phase } = this.state;
    if (phase === "asking" && now > this.#deadline) return this.#fail("no-answer");
    if (phase === "connecting" && now > this.#deadline) return this.#fail("no-path");
    if (phase === "waiting" && now > this.#deadline) return this.#fail("no-picture");
    if (phase !== "playing" && phase !== "stalled") return;
    if (this.isStill) this.#lastFrameAt = now;
    const silentMs = now - this.#lastFrameAt;
    const patienceMs = this.#patienceMs;
    if (silentMs > GIVE_UP_AFTER_MS) return this.#fail("lost");
    const isChecked = this.#checkedAt > this.#lastFrameAt && now - this.#checkedAt < RESTART_EVERY_MS;
    if (this.#isSuspicious(now) && !isChecked) {
      this.#checkedAt = now;
      this.#signal.check(); // it may be our own network that changed
    }
    if (silentMs > patienceMs) {
      if (phase === "playing") this.#enter("stalled", wordsFor("stalled"));
      this.#restart();
    } else if (now - this.#playingSince > STEADY_AFTER_MS) this.#attempt = 0;
  }

  get #patienceMs() {
    // A hidden page's timers and statistics are too slow to tell a stall early.
    return document.hidden ? GIVE_UP_AFTER_MS : Math.max(STALLED_AFTER_MS, 5_000 / (this.fps || 30));
  }

  #isSuspicious(now) {
    const isPlaying = this.state.phase === "playing" || this.state.phase === "stalled";
    return isPlaying && now - this.#lastFrameAt > (this.#patienceMs * SUSPICIOUS_AFTER_MS) / STALLED_AFTER_MS;
  }

  #fail(code, message = "", retryAfterS = undefined) {
    if (code === "no-path" && this.#refusal) [code, message] = ["turn-refused", this.#refusal];
    else if (code === "no-path" && this.#silent.size) [code, message] = ["server-silent", [...this.#silent].join(", ")];
    clearTimeout(this.#timer);
    this.#hangUp();
    this.#code = code;
    const words = wordsFor(code, message);
    if (WAITS_FOR_PORTAL.has(code)) {
      this.#timer = setTimeout(() => this.#connect(), UNTOLD_PAUSE_MS * (0.5 + Math.random()));
      return this.#enter("retrying", words);
    }
    // Full jitter, so that the viewers of one camera do not come back in step.
    const ceiling = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** this.#attempt++);
    const pause = Math.max((retryAfterS ?? 0) * 1000, FIRST_PAUSE_MS / 2 + Math.random() * ceiling);
    this.#enter("retrying", words, Date.now() + pause);
    this.#timer = setTimeout(() => this.#connect(), pause);
  }

  #hangUp() {
    const pc = this.#pc;
    if (this.#session) this.#signal.send({ type: "bye", session: this.#session });
    this.#pc = this.#control = this.#stick = this.#session = null;
    this.#hasAnswer = false;
    this.#remoteCandidates = [];
    this.#localCandidates = [];
    this.#playingSince = this.#lastFrames = 0;
    this.#restartedAt = -Infinity;
    this.#statsReader = new StatsReader();
    this.latencies = [];
    this.stats = {};
    this.#refusal = "";
    this.#silent.clear();
    if (!pc) return;
    pc.ontrack = pc.onicecandidate = pc.onicecandidateerror = pc.onconnectionstatechange = null;
    pc.close();
  }

  #enter(phase, { title = "", advice = "" } = {}, retryAt = null) {
    this.state = { phase, title, advice, retryAt };
    this.dispatchEvent(new Event("change"));
  }
}

function newSession() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** An answer names its offer by the ICE user name fragment; those of other devices than ours name none. */
function isAnswerTo(sdp, offer) {
  const asked = /^a=x-answers:(\S+)/m.exec(sdp)?.[1];
  return asked === undefined || offer.includes(`a=ice-ufrag:${asked}\r\n`);
}

const isH264 = (codec) => codec.mimeType.toLowerCase() === "video/h264";

function h264First() {
  const { codecs } = RTCRtpReceiver.getCapabilities("video");
  return [...codecs.filter(isH264), ...codecs.filter((codec) => !isH264(codec))];
}

function whyUnsupported() {
  if (!("RTCPeerConnection" in window)) return "no-webrtc";
  return RTCRtpReceiver.getCapabilities("video")?.codecs.some(isH264) ? null : "unsupported";
}
