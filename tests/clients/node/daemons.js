// Starts nsqd and nsqlookupd, on free ports and with data that goes away with the test, and ends them by their process.
//
// Every wait is for the thing itself, and has a deadline and an explanation.

import assert from 'node:assert/strict'
import {spawn} from 'node:child_process'
import {once} from 'node:events'
import {mkdtemp, open, readFile, rm} from 'node:fs/promises'
import {tmpdir} from 'node:os'
import {join} from 'node:path'
import {setTimeout as sleep} from 'node:timers/promises'

// A limit for a machine that is busy with other things; nothing here takes as long by itself.
const PATIENCE_MS = 45_000
const POLL_MS = 10

export async function waitUntil(condition, explanation) {
  const deadline = Date.now() + PATIENCE_MS
  for (;;) {
    const value = await condition()
    if (value) return value
    assert(Date.now() < deadline, `waited in vain: ${explanation()}`)
    await sleep(POLL_MS)
  }
}

// The promise's value, if it comes in time.
export async function inTime(promise, explanation) {
  const abort = new AbortController()
  const late = sleep(PATIENCE_MS, undefined, {signal: abort.signal}).then(() => {
    throw new Error(`waited in vain: ${explanation}`)
  })
  late.catch(() => {})
  try {
    return await Promise.race([promise, late])
  } finally {
    abort.abort()
  }
}

const endings = new WeakMap()

// Does this when the test has ended, and what was to be done last first: the runner begins with the first.
export function atEnd(test, action) {
  if (!endings.has(test)) {
    endings.set(test, [])
    test.after(async () => {
      for (const ending of endings.get(test).reverse()) await ending()
    })
  }
  endings.get(test).push(action)
}

// nsqd or nsqlookupd. Stopped and started again, it keeps its ports.
class Daemon {
  constructor(name, directory, flags) {
    this.name = name
    this.directory = directory
    this.flags = flags
    this.tcp = this.http = '127.0.0.1:0'
  }

  get port() {
    return Number(this.tcp.split(':')[1])
  }

  async start() {
    const program = process.env[this.name.toUpperCase()]
    assert(program, `${this.name.toUpperCase()} does not name the program; \`make clients-node\` does`)
    const log = await open(join(this.directory, 'log'), 'w')
    const flags = [`--tcp-address=${this.tcp}`, `--http-address=${this.http}`, ...this.flags]
    this.process = spawn(program, flags, {stdio: ['ignore', log.fd, log.fd]})
    this.ended = once(this.process, 'exit')
    await log.close()
    this.tcp = await this.logged(/TCP: listening on (\S+)/)
    this.http = await this.logged(/HTTP: listening on (\S+)/)
  }

  async stop() {
    this.process.kill('SIGTERM')
    const [code] = await this.ended
    assert.equal(code, 0)
  }

  async kill() {
    this.process.kill('SIGKILL')
    await this.ended
    await rm(this.directory, {recursive: true})
  }

  async logged(pattern) {
    let text
    const look = async () => {
      text = await readFile(join(this.directory, 'log'), 'utf8')
      assert(this.process.exitCode === null, `${this.name} ended: ${text}`)
      return text.match(pattern)
    }
    return (await waitUntil(look, () => `${this.name} wrote only ${text}`))[1]
  }

  async get(target) {
    const answer = await fetch(`http://${this.http}${target}`)
    return answer.ok ? answer.json() : {}
  }

  // How many nsqd this nsqlookupd names for the topic.
  async producers(topic) {
    return ((await this.get(`/lookup?topic=${topic}`)).producers ?? []).length
  }

  // What /stats says of the topic's only channel; nothing where there is none yet.
  async channel(topic) {
    const {topics} = await this.get(`/stats?format=json&topic=${topic}`)
    return topics.flatMap((one) => one.channels)[0] ?? {clients: []}
  }

  // Waits until the channel's statistics have these values; returns all of them.
  async channelIs(topic, expected) {
    let channel
    const look = async () => {
      channel = await this.channel(topic)
      return Object.entries(expected).every(([key, value]) => channel[key] === value)
    }
    await waitUntil(look, () => `expected ${JSON.stringify(expected)}, have ${JSON.stringify(channel)}`)
    return channel
  }

  emptied(topic, expected = {}) {
    return this.channelIs(topic, {depth: 0, in_flight_count: 0, deferred_count: 0, ...expected})
  }
}

async function start(test, name, flagsFor) {
  const directory = await mkdtemp(join(tmpdir(), 'nsqjs-'))
  const daemon = new Daemon(name, directory, flagsFor(directory))
  await daemon.start()
  atEnd(test, () => daemon.kill())
  return daemon
}

export function startNsqd(test, ...flags) {
  return start(test, 'nsqd', (directory) => [
    `--data-path=${directory}`,
    '--broadcast-address=127.0.0.1',
    ...flags,
  ])
}

export function startNsqlookupd(test) {
  return start(test, 'nsqlookupd', () => [])
}
