// A contender on Node: the same orders and answers as benchmarks/worker.py, the same rounds as benchmarks/timing.py and jobs/.

import { createPrivateKey, createPublicKey, createSecretKey } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'

const BATCH = 100
const SLICE_SECONDS = 50e-6
const ROUND_SECONDS = 0.02
const WARM_UP_SECONDS = 0.5 // Longer than in Python: the compiler of V8 has to see what is called often.
const ISSUER = 'auth-server.com'
const AUDIENCE = ['auth-server.com', 'rest-server.com']
const ACCEPTED = 'rest-server.com'
const LIFETIME = 86_400

function timeCalls(call, inputs) {
  const start = process.hrtime.bigint()
  for (const one of inputs) call(one)
  return Number(process.hrtime.bigint() - start) / 1e9 / inputs.length
}

function timeRound(makeBatch, seconds = ROUND_SECONDS) {
  const times = []
  let spent = 0
  while (spent < seconds || times.length < 5) {
    const [call, inputs] = makeBatch()
    const size = times.length ? Math.max(1, Math.min(Math.trunc(SLICE_SECONDS / times.at(-1)), inputs.length)) : 1
    for (let start = 0; start < inputs.length; start += size) times.push(timeCalls(call, inputs.slice(start, start + size)))
    spent += times.at(-1) * inputs.length
  }
  times.sort((a, b) => a - b)
  return times[times.length >> 1]
}

const verifiers = {
  async fast_jwt(file, cache = false) {
    const { createVerifier } = await import('fast-jwt')
    const key = file.secret ?? file.public
    return () => createVerifier({ key, algorithms: [file.algorithm], allowedIss: ISSUER, allowedAud: ACCEPTED, cache })
  },
  fast_jwt_cached: (file) => verifiers.fast_jwt(file, true),
  async jsonwebtoken(file) {
    const { default: jwt } = await import('jsonwebtoken')
    const key = file.secret ? createSecretKey(Buffer.from(file.secret)) : createPublicKey(file.public)
    const options = { algorithms: [file.algorithm], issuer: ISSUER, audience: ACCEPTED }
    return () => (token) => jwt.verify(token, key, options)
  },
}

const payload = () => {
  const iat = Math.floor(Date.now() / 1000)
  return { sub: 'uid1', anc: 'Ab3xY', role: 'user', name: 'John', iss: ISSUER, aud: AUDIENCE, iat, exp: iat + LIFETIME }
}

const signers = {
  async fast_jwt(file) {
    const { createSigner } = await import('fast-jwt')
    const sign = createSigner({ key: file.secret ?? file.private, algorithm: file.algorithm })
    return () => sign(payload())
  },
  async jsonwebtoken(file) {
    const { default: jwt } = await import('jsonwebtoken')
    const key = file.secret ? createSecretKey(Buffer.from(file.secret)) : createPrivateKey(file.private)
    return () => jwt.sign(payload(), key, { algorithm: file.algorithm })
  },
}

const generators = {
  async nanoid_node() {
    const { nanoid } = await import('nanoid')
    return () => nanoid(32)
  },
  async uid_safe() {
    const { default: uid } = await import('uid-safe')
    return () => uid.sync(24)
  },
}

function findUnchecked(call, bad) {
  return Object.keys(bad).filter((fault) => {
    try {
      call(bad[fault])
      return true
    } catch {
      return false
    }
  })
}

async function makeReader(peer, tokens) {
  const file = JSON.parse(readFileSync(tokens))
  const { good, bad } = file
  const make = await verifiers[peer](file)
  const raw = good.map((token) => Buffer.from(token))
  const claims = make()(good[0])
  if (claims.iss !== ISSUER || claims.role !== 'user' || claims.name !== 'John') throw new Error('wrong claims')
  const unchecked = findUnchecked(make(), bad)
  if (unchecked.includes('signature')) throw new Error('accepts a forged signature')
  return { make, raw, facts: { unchecked: unchecked.join(', '), characters: good[0].length } }
}

const jobs = {
  async 'reading:Seen'({ peer, tokens }) {
    const { make, raw, facts } = await makeReader(peer, tokens)
    const call = make()
    let next = 0
    const makeBatch = () => [call, Array.from({ length: BATCH }, () => raw[next++ % raw.length].toString('latin1'))]
    timeRound(makeBatch, WARM_UP_SECONDS)
    return { facts, round: () => ({ read: timeRound(makeBatch) }) }
  },

  async 'reading:Unseen'({ peer, tokens, finish }) {
    const { make: makeRead, raw, facts } = await makeReader(peer, tokens)
    const make = () => {
      const read = makeRead()
      return finish ? (token) => finish(read(token)) : read
    }
    let call = make()
    let start = 0
    const makeBatch = () => {
      if (start === raw.length) {
        start = 0
        call = make()
      }
      const inputs = raw.slice(start, start + BATCH).map((one) => one.toString('latin1'))
      start += BATCH
      return [call, inputs]
    }
    timeRound(makeBatch, WARM_UP_SECONDS)
    return { facts, round: () => ({ read: timeRound(makeBatch) }) }
  },

  async 'reading:UnseenClaim'(order) {
    return jobs['reading:Unseen']({ ...order, finish: (claims) => claims.role })
  },

  async 'reading:Zipf'({ peer, tokens }) {
    const { make, raw, facts } = await makeReader(peer, tokens)
    const call = make()
    const sums = []
    raw.reduce((sum, _, rank) => (sums[rank] = sum + 1 / (rank + 1)), 0)
    const pick = () => {
      const wanted = Math.random() * sums.at(-1)
      let low = 0
      let high = sums.length - 1
      while (low < high) {
        const middle = (low + high) >> 1
        if (sums[middle] < wanted) low = middle + 1
        else high = middle
      }
      return raw[low].toString('latin1')
    }
    const round = (lookups = 5_000) => {
      let spent = 0
      for (let done = 0; done < lookups; done += BATCH) spent += timeCalls(call, Array.from({ length: BATCH }, pick)) * BATCH
      return { read: spent / lookups }
    }
    round(100_000)
    return { facts, round: () => round() }
  },

  async 'issuing:Signing'({ peer, tokens }) {
    const call = await signers[peer](JSON.parse(readFileSync(tokens)))
    if (call().split('.').length !== 3) throw new Error('not a token')
    const makeBatch = () => [call, Array(BATCH).fill(0)]
    timeRound(makeBatch, WARM_UP_SECONDS)
    return { facts: {}, round: () => ({ issue: timeRound(makeBatch) }) }
  },

  async 'issuing:RandomTokens'({ peer }) {
    const call = await generators[peer]()
    if (call().length !== 32) throw new Error('another length')
    const makeBatch = () => [call, Array(BATCH).fill(24)]
    timeRound(makeBatch, WARM_UP_SECONDS)
    return { facts: {}, round: () => ({ make: timeRound(makeBatch) }) }
  },
}

const packages = { fast_jwt: 'fast-jwt', fast_jwt_cached: 'fast-jwt', jsonwebtoken: 'jsonwebtoken', nanoid_node: 'nanoid', uid_safe: 'uid-safe' }
const resolve = createRequire(import.meta.url).resolve

function versionOf(peer) {
  // Not every package lets its package.json be required, so it is looked for beside the code.
  const path = resolve(packages[peer])
  const folder = path.slice(0, path.lastIndexOf(`node_modules/${packages[peer]}`)) + `node_modules/${packages[peer]}`
  return JSON.parse(readFileSync(`${folder}/package.json`)).version
}

let job
for await (const line of createInterface({ input: process.stdin })) {
  const order = JSON.parse(line)
  let answer
  if ('job' in order) {
    try {
      job = await jobs[order.job](order)
      answer = { version: `${versionOf(order.peer)}, Node ${process.versions.node}`, facts: job.facts }
    } catch (error) {
      if (error.code !== 'ERR_MODULE_NOT_FOUND') throw error
      answer = { missing: `${packages[order.peer]} is not installed` }
    }
  } else {
    answer = { seconds: job.round() }
  }
  process.stdout.write(JSON.stringify(answer) + '\n')
}
