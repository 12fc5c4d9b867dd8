// What nsqjs can do with nsqd and nsqlookupd. Clients are closed before their daemon ends: the library lets the end of
// a deflated connection bring the program down, whichever daemon it is.

import assert from 'node:assert/strict'
import {randomBytes} from 'node:crypto'
import {once} from 'node:events'
import {readFileSync} from 'node:fs'
import {createServer} from 'node:http'
import {join} from 'node:path'
import {describe, test as declare} from 'node:test'
import {setTimeout as sleep} from 'node:timers/promises'
import {promisify} from 'node:util'

import nsq from 'nsqjs'

import {atEnd, inTime, startNsqd, startNsqlookupd, waitUntil} from './daemons.js'

const TOPIC = 'orders'

// The test is skipped where the daemon is said not to have all of the features yet.
function test(name, ...rest) {
  const [features, body] = rest.length === 2 ? rest : [[], rest[0]]
  const present = (process.env.NSQ_CLIENT_FEATURES ?? '').split(' ')
  const missing = features.filter((feature) => !present.includes(feature))
  const skip = missing.length > 0 && `switched off: ${missing} not in NSQ_CLIENT_FEATURES`
  declare(name, {skip}, body)
}

const bodies = (count) => Array.from({length: count}, (_, number) => `order ${number}`)

function certificate(name) {
  return join(process.env.NSQ_CERTIFICATES, name)
}

const tlsFlags = () => [
  '--https-address=127.0.0.1:0',
  `--tls-cert=${certificate('server.pem')}`,
  `--tls-key=${certificate('server.key')}`,
]

const trusting = () => ({tls: true, ca: readFileSync(certificate('ca.pem'))})

// A Writer of nsqjs that is awaited. Errors are for the one who publishes.
async function connectWriter(test, nsqd, options) {
  const writer = new nsq.Writer('127.0.0.1', nsqd.port, options)
  writer.on('error', () => {})
  const settled = Promise.race([once(writer, 'ready'), once(writer, 'closed').then(() => assert.fail('refused'))])
  writer.connect()
  atEnd(test, () => writer.conn.conn && writer.close())
  await inTime(settled, 'the writer is ready')
  return {
    publish: promisify((messages, done) => writer.publish(TOPIC, messages, done)),
    // The library wants a list, of one.
    defer: promisify((message, delay, done) => writer.deferPublish(TOPIC, [message], delay, done)),
  }
}

// A Reader of nsqjs with this handler; without one, every message is finished. Notes what came.
function connectReader(test, source, options, handler) {
  const reader = new nsq.Reader(TOPIC, 'billing', {...source, lookupdPollInterval: 1, ...options})
  const received = []
  reader.on('error', () => {})
  reader.on('message', (message) => {
    received.push({body: message.body, attempts: message.attempts, at: Date.now()})
    if (handler) handler(message)
    else message.finish()
  })
  reader.connect()
  atEnd(test, () => reader.close())
  return {
    reader,
    received,
    arrived: (count) => waitUntil(() => received.length >= count, () => `only ${received.length} messages came`),
  }
}

const of = (nsqd) => ({nsqdTCPAddresses: [nsqd.tcp]})

function assertReceived(received, expected) {
  const sorted = (list) => list.map((body) => Buffer.from(body).toString('latin1')).sort()
  assert.deepEqual(sorted(received.map(({body}) => body)), sorted(expected))
}

const readyIs = (nsqd, count) =>
  waitUntil(
    async () => (await nsqd.channel(TOPIC)).clients.map((client) => client.ready_count).join() === String(count),
    () => `the client is not ready for ${count}`
  )

describe('nsqjs', {concurrency: 4}, () => {
  test('messages published one by one arrive once and are finished', async (t) => {
    const nsqd = await startNsqd(t)
    const writer = await connectWriter(t, nsqd)
    const {received, arrived} = connectReader(t, of(nsqd), {maxInFlight: 10})
    const expected = [...bodies(100), Buffer.from([0, 10, 255]), 'x'.repeat(1_000_000)]
    for (const body of expected) await writer.publish(body)
    await arrived(expected.length)
    const channel = await nsqd.emptied(TOPIC, {
      message_count: expected.length,
      requeue_count: 0,
      timeout_count: 0,
    })
    assert.equal(channel.clients[0].finish_count, expected.length)
    assertReceived(received, expected)
  })

  test('a batch arrives whole', async (t) => {
    const nsqd = await startNsqd(t)
    await (await connectWriter(t, nsqd)).publish(bodies(500))
    const {received, arrived} = connectReader(t, of(nsqd), {maxInFlight: 100})
    await arrived(500)
    await nsqd.emptied(TOPIC, {message_count: 500})
    assertReceived(received, bodies(500))
  })

  test('a deferred message arrives when its time has come', async (t) => {
    const nsqd = await startNsqd(t)
    const writer = await connectWriter(t, nsqd)
    const {received, arrived} = connectReader(t, of(nsqd))
    const published = Date.now()
    await writer.defer('later', 400)
    await writer.publish('at once')
    await arrived(2)
    assert.deepEqual(received.map(({body}) => body.toString()), ['at once', 'later'])
    assert(received[1].at - published >= 400)
  })

  test('as many messages are in flight as the reader allows', async (t) => {
    const nsqd = await startNsqd(t)
    await (await connectWriter(t, nsqd)).publish(bodies(12))
    const held = []
    connectReader(t, of(nsqd), {maxInFlight: 5}, (message) => held.push(message))
    await nsqd.channelIs(TOPIC, {in_flight_count: 5, depth: 7})
    await waitUntil(() => held.length === 5, () => `${held.length} came`)
    for (const message of held.splice(0)) message.finish()
    await nsqd.channelIs(TOPIC, {in_flight_count: 5, depth: 2})
    for (const message of held.splice(0)) message.finish()
  })

  test('a requeued message comes back after its delay', async (t) => {
    const nsqd = await startNsqd(t)
    await (await connectWriter(t, nsqd)).publish('order')
    const {received, arrived} = connectReader(t, of(nsqd), {}, (message) =>
      message.attempts === 1 ? message.requeue(400, false) : message.finish()
    )
    await arrived(2)
    const [first, second] = received
    assert.deepEqual([first.attempts, second.attempts], [1, 2])
    assert(second.at - first.at >= 400)
    await nsqd.emptied(TOPIC, {requeue_count: 1, timeout_count: 0})
  })

  test('a failure backs the reader off and a success brings it back', async (t) => {
    const nsqd = await startNsqd(t)
    await (await connectWriter(t, nsqd)).publish(bodies(20))
    // Backs off for 1.7 seconds.
    const {received, arrived} = connectReader(t, of(nsqd), {maxBackoffDuration: 60}, (message) =>
      received.length === 1 ? message.requeue(0) : message.finish()
    )
    await nsqd.channelIs(TOPIC, {requeue_count: 1})
    await readyIs(nsqd, 0)
    await readyIs(nsqd, 1)
    await arrived(21)
    await nsqd.emptied(TOPIC, {requeue_count: 1, timeout_count: 0})
  })

  test('a long job is kept by touching it and lost without', async (t) => {
    const nsqd = await startNsqd(t)
    await (await connectWriter(t, nsqd)).publish(['touched', 'forgotten'])
    let forgotten = 0
    const work = async (message) => {
      if (message.body.toString() === 'forgotten') {
        forgotten += 1
        if (forgotten === 2) message.finish()
        return
      }
      const began = Date.now()
      // As long as it takes the other one to run into the timeout, and at least twice the timeout.
      while (forgotten < 2 || Date.now() - began < 2200) {
        message.touch()
        await sleep(200)
      }
      message.finish()
    }
    // One more than there are, for the library counts the forgotten one for ever.
    const {received} = connectReader(t, of(nsqd), {maxInFlight: 3, messageTimeout: 1000}, work)
    await nsqd.emptied(TOPIC, {message_count: 2, timeout_count: 1})
    const attempts = received.map(({body, attempts}) => `${body} ${attempts}`).sort()
    assert.deepEqual(attempts, ['forgotten 1', 'forgotten 2', 'touched 1'])
  })

  test('a message is given up after the last attempt', async (t) => {
    const nsqd = await startNsqd(t)
    await (await connectWriter(t, nsqd)).publish('poison')
    const {reader, received} = connectReader(t, of(nsqd), {maxAttempts: 3}, (message) => message.requeue(0, false))
    const [discarded] = await inTime(once(reader, 'discard'), 'the message is given up')
    assert.equal(discarded.attempts, 4)
    assert.deepEqual(received.map(({attempts}) => attempts), [1, 2, 3])
    await nsqd.emptied(TOPIC, {requeue_count: 3})
  })

  test('every nsqd of the topic is found through nsqlookupd', async (t) => {
    const lookup = await startNsqlookupd(t)
    const registers = `--lookupd-tcp-address=${lookup.tcp}`
    const publishTo = async (nsqd, body) => (await connectWriter(t, nsqd)).publish(body)
    for (const body of bodies(2)) await publishTo(await startNsqd(t, registers), body)
    await waitUntil(async () => (await lookup.producers(TOPIC)) === 2, () => 'two nsqd are registered')
    const {received, arrived} = connectReader(t, {lookupdHTTPAddresses: [lookup.http]}, {maxInFlight: 10})
    await arrived(2)
    await publishTo(await startNsqd(t, registers), 'late')
    await arrived(3)
    assertReceived(received, [...bodies(2), 'late'])
  })

  test('the reader comes back after a restart of nsqd, and a writer that connects again', async (t) => {
    const nsqd = await startNsqd(t)
    await (await connectWriter(t, nsqd)).publish(['in flight', 'waiting'])
    const held = []
    const {received, arrived} = connectReader(t, of(nsqd), {}, (message) =>
      held.length === 0 ? held.push(message) : message.finish()
    )
    await arrived(1)
    await nsqd.stop()
    await nsqd.start()
    // The library leaves it to the program to connect a writer again.
    await (await connectWriter(t, nsqd)).publish('new')
    // What was in flight comes again, for the daemon was not told of its end.
    await arrived(4)
    assertReceived(received, ['in flight', 'in flight', 'waiting', 'new'])
    await nsqd.emptied(TOPIC)
  })

  // Sends large and small messages both ways, and returns what the daemon says of the reader.
  async function throughput(t, nsqd, options) {
    const expected = [...bodies(200), randomBytes(300_000), 'compressible '.repeat(50_000)]
    const writer = await connectWriter(t, nsqd, options)
    await writer.publish(expected)
    await writer.publish('last')
    const {received, arrived} = connectReader(t, of(nsqd), {maxInFlight: 50, ...options})
    await arrived(expected.length + 1)
    assertReceived(received, [...expected, 'last'])
    return (await nsqd.emptied(TOPIC)).clients[0]
  }

  test('messages cross TLS with a server that is verified', ['tls'], async (t) => {
    const nsqd = await startNsqd(t, ...tlsFlags(), '--tls-required=tcp-https')
    const client = await throughput(t, nsqd, trusting())
    assert(client.tls)
    assert(client.tls_version)
    await assert.rejects(async () => (await connectWriter(t, nsqd)).publish('in plain'))
    await assert.rejects(connectWriter(t, nsqd, {tls: true}))
  })

  test('a client shows its certificate where one is asked for', ['tls'], async (t) => {
    const authority = `--tls-root-ca-file=${certificate('ca.pem')}`
    const asks = ['--tls-client-auth-policy=require-verify', '--tls-required=tcp-https']
    const nsqd = await startNsqd(t, ...tlsFlags(), authority, ...asks)
    const shown = {cert: readFileSync(certificate('client.pem')), key: readFileSync(certificate('client.key'))}
    await throughput(t, nsqd, {...trusting(), ...shown})
    await assert.rejects(async () => (await connectWriter(t, nsqd, trusting())).publish('without'))
  })

  for (const compression of ['snappy', 'deflate']) {
    test(`messages cross ${compression}`, [compression], async (t) => {
      const client = await throughput(t, await startNsqd(t), {[compression]: true})
      assert(client[compression])
    })

    test(`messages cross ${compression} inside TLS`, ['tls', compression], async (t) => {
      const nsqd = await startNsqd(t, ...tlsFlags())
      const client = await throughput(t, nsqd, {...trusting(), [compression]: true})
      assert(client.tls)
      assert(client[compression])
    })
  }

  test('a secret opens the topic that it is for', ['auth'], async (t) => {
    const authorizations = [{topic: TOPIC, channels: ['.*'], permissions: ['subscribe', 'publish']}]
    const server = createServer(async (request, answer) => {
      let query = request.url
      for await (const part of request) query += part
      const permitted = query.includes('secret=sesame') ? authorizations : []
      answer.end(JSON.stringify({ttl: 3600, identity: 'tester', authorizations: permitted}))
    })
    server.listen(0, '127.0.0.1')
    atEnd(t, () => server.close())
    await once(server, 'listening')
    const nsqd = await startNsqd(t, `--auth-http-address=127.0.0.1:${server.address().port}`)
    const client = await throughput(t, nsqd, {authSecret: 'sesame'})
    assert(client.authed)
    assert.equal(client.auth_identity, 'tester')
    await assert.rejects(connectWriter(t, nsqd, {authSecret: 'wrong'}))
    await assert.rejects(async () => (await connectWriter(t, nsqd)).publish('without'))
  })
})
