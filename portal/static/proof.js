// Verifies a proof file (protocol page, section 9) in the browser. No network, no page: bytes in, findings out.
//
// Every step throws Wrong ("the file does not hold") or Unable ("this browser cannot check it"). Nothing is taken as
// valid that was not computed here.
(() => {
  "use strict";

  class Wrong extends Error {}
  class Unable extends Error {}

  const HIDING = new Set(["erasure", "withholding"]); // system registers whose rows say why a field does not show
  const MAX_BYTES = 32 << 20;
  const CHANGESET = "application/vnd.syncgov.changeset.v1+json";
  const CHARTER = "application/vnd.syncgov.charter.v1+json";
  // protocol page, section 2: refused as key and as R, so that all libraries agree
  const LOW_ORDER = new Set([
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
  ]);

  const utf8 = new TextEncoder();

  function need(condition, words) {
    if (!condition) throw new Wrong(words);
  }

  // -- bytes ----------------------------------------------------------------------------------------------------

  function join(...parts) {
    const all = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
    let at = 0;
    for (const part of parts) {
      all.set(part, at);
      at += part.length;
    }
    return all;
  }

  const same = (a, b) => a.length === b.length && a.every((byte, i) => byte === b[i]);
  const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

  function fromB64(text, length) {
    need(typeof text === "string" && /^[A-Za-z0-9+/]*={0,2}$/.test(text) && text.length % 4 === 0, "base64 写法不对");
    const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
    need(toB64(bytes) === text && (length === undefined || bytes.length === length), "base64 写法不对");
    return bytes;
  }

  function toB64(bytes) {
    let text = "";
    for (let i = 0; i < bytes.length; i += 0x8000) text += String.fromCharCode(...bytes.subarray(i, i + 0x8000));
    return btoa(text);
  }

  function fromB64u(text, length) {
    need(typeof text === "string" && /^[A-Za-z0-9_-]*$/.test(text), "base64url 写法不对");
    const padded = text.replace(/-/g, "+").replace(/_/g, "/");
    return fromB64(padded + "=".repeat((4 - (padded.length % 4)) % 4), length);
  }

  const toB64u = (bytes) => toB64(bytes).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

  // -- canonical JSON, section 1 --------------------------------------------------------------------------------

  function canonical(value, depth = 0) {
    need(depth <= 16, "嵌套太深");
    if (value === null || value === true || value === false) return String(value);
    if (typeof value === "number") {
      need(Number.isSafeInteger(value) && !Object.is(value, -0), "数字超出范围");
      return String(value);
    }
    if (typeof value === "string") {
      need(value.normalize("NFC") === value && !/[\ud800-\udfff]/u.test(value), "文字不是规范形式");
      return JSON.stringify(value);
    }
    if (Array.isArray(value)) return `[${value.map((each) => canonical(each, depth + 1)).join(",")}]`;
    const names = Object.keys(value).sort();
    need(names.every((name) => /^[\x00-\x7f]*$/.test(name)), "成员名不是 ASCII");
    return `{${names.map((name) => `${JSON.stringify(name)}:${canonical(value[name], depth + 1)}`).join(",")}}`;
  }

  function parse(bytes, what) {
    let text, value;
    try {
      text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
      value = JSON.parse(text);
    } catch {
      throw new Wrong(`${what}不是证明文件的写法`);
    }
    need(canonical(value) === text, `${what}不是规范形式，可能被改过`);
    return value;
  }

  function members(value, names, what) {
    const found = value !== null && typeof value === "object" && !Array.isArray(value) ? Object.keys(value).sort() : [];
    need(found.join(" ") === names, `${what}的成员不对`);
    return value;
  }

  // -- hashes and signatures, section 2 -------------------------------------------------------------------------

  async function sha256(bytes) {
    if (window.crypto && crypto.subtle) return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
    return fallback().sha256(bytes);
  }

  function fallback() {
    if (!window.nobleEd25519) throw new Unable("这个浏览器没有需要的密码功能，替代程序也没有加载");
    return window.nobleEd25519;
  }

  async function verifyNatively(key, message, signature) {
    if (!window.crypto || !crypto.subtle) return undefined;
    try {
      const imported = await crypto.subtle.importKey("raw", key, { name: "Ed25519" }, false, ["verify"]);
      return await crypto.subtle.verify({ name: "Ed25519" }, imported, signature, message);
    } catch {
      return undefined; // no Ed25519 here, or a key that this browser does not take: the other program decides
    }
  }

  async function verify(key, message, signature, whose) {
    need(key.length === 32 && signature.length === 64, `${whose}的签名长度不对`);
    need(!LOW_ORDER.has(hex(key)) && !LOW_ORDER.has(hex(signature.subarray(0, 32))), `${whose}的签名不能用`);
    let valid = await verifyNatively(key, message, signature);
    if (valid === undefined) {
      try {
        valid = fallback().verify(signature, message, key);
      } catch (error) {
        if (error instanceof Unable) throw error;
        valid = false;
      }
    }
    need(valid === true, `${whose}的签名无效`);
  }

  const deviceId = async (key) => hex(await sha256(key)).slice(0, 32);

  function pae(type, payload) {
    return join(utf8.encode(`DSSEv1 ${type.length} ${type} ${payload.length} `), payload);
  }

  function openEnvelope(envelope, type, what) {
    members(envelope, "payload payloadType signatures", what);
    need(envelope.payloadType === type && Array.isArray(envelope.signatures) && envelope.signatures.length > 0, `${what}的类型不对`);
    envelope.signatures.forEach((each) => members(each, "keyid sig", what));
    return fromB64(envelope.payload);
  }

  // -- charter, section 8 ---------------------------------------------------------------------------------------

  async function openCharter(envelope) {
    const payload = openEnvelope(envelope, CHARTER, "章程");
    const charter = parse(payload, "章程");
    need(Array.isArray(charter.roots) && Array.isArray(charter.registrars) && typeof charter.log === "string", "章程不完整");
    need(Number.isInteger(charter.threshold) && charter.threshold >= 1, "章程不完整");
    const roots = new Map();
    for (const text of charter.roots) roots.set(await deviceId(fromB64u(text, 32)), fromB64u(text, 32));
    await needRoots(envelope, payload, roots, charter.threshold);
    const registrars = new Set();
    for (const text of charter.registrars) registrars.add(await deviceId(fromB64u(text, 32)));
    return { ...charter, envelope, payload, rootKeys: roots, rootIds: [...roots.keys()], registrarIds: registrars };
  }

  async function needRoots(envelope, payload, roots, threshold) {
    const signers = new Set();
    for (const { keyid, sig } of envelope.signatures) {
      if (!roots.has(keyid)) continue;
      await verify(roots.get(keyid), pae(CHARTER, payload), fromB64(sig, 64), "章程的根密钥");
      signers.add(keyid);
    }
    need(signers.size >= threshold, "章程的根签名不够");
  }

  // Every charter of the log, each replaced by the next (section 8, steps 1 to 4); the one in force knows all registrars.
  async function openCharters(proof) {
    need(proof.charters === undefined || (Array.isArray(proof.charters) && proof.charters.length > 0), "章程不完整");
    const chain = [];
    for (const envelope of [...(proof.charters || []), proof.charter]) {
      const charter = await openCharter(envelope);
      if (chain.length > 0) await needSuccessor(chain[chain.length - 1], charter);
      chain.push(charter);
    }
    const newest = chain[chain.length - 1];
    for (const charter of chain) charter.registrarIds.forEach((id) => newest.registrarIds.add(id));
    return chain;
  }

  async function needSuccessor(old, next) {
    need(next.previous === toB64u(await sha256(utf8.encode(canonical(old.envelope)))), "章程不是一份接一份的");
    await needRoots(next.envelope, next.payload, old.rootKeys, old.threshold);
    const closes = next.closes !== undefined && next.closes !== null && next.closes.origin === old.origin && next.origin !== old.origin;
    const stays = next.closes === undefined && next.origin === old.origin && next.log === old.log;
    need((closes || stays) && next.simulated === old.simulated, "章程不是一份接一份的");
  }

  // -- log, section 6 -------------------------------------------------------------------------------------------

  async function openCheckpoint(text, charter) {
    const [, name, , key] = /^([^+\n]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)$/.exec(charter.log) || [];
    need(name === charter.origin, "章程里的日志密钥不对");
    const tagged = fromB64(key, 33);
    need(tagged[0] === 1, "章程里的日志密钥不对");
    const id = (await sha256(join(utf8.encode(`${name}\n`), tagged))).subarray(0, 4);
    const end = text.lastIndexOf("\n\n") + 1;
    need(end > 0 && text.endsWith("\n"), "检查点不完整");
    const body = text.slice(0, end);
    let signed = false;
    for (const line of text.slice(end + 1, -1).split("\n")) {
      const [, signer, value] = /^\u2014 ([^ \n]+) ([A-Za-z0-9+/=]+)$/.exec(line) || [];
      need(signer !== undefined, "检查点不完整");
      const blob = fromB64(value);
      if (signer !== name || !same(blob.subarray(0, 4), id)) continue;
      await verify(tagged.subarray(1), utf8.encode(body), blob.subarray(4), "检查点");
      signed = true;
    }
    need(signed, "检查点不是章程所列的日志密钥签名的");
    const [origin, size, root, rest, ...more] = body.split("\n");
    need(origin === name && /^(0|[1-9][0-9]{0,15})$/.test(size) && rest === "" && more.length === 0, "检查点不完整");
    return { origin, size: Number(size), root: fromB64(root, 32), text };
  }

  async function verifyReceipt(receipt, leaf, charter) {
    need(typeof receipt === "string" && receipt.includes("\n\n"), "回执不完整");
    const cut = receipt.indexOf("\n\n");
    const [header, indexLine, ...path] = receipt.slice(0, cut).split("\n");
    const [, index] = /^index (0|[1-9][0-9]{0,15})$/.exec(indexLine || "") || [];
    need(header === "c2sp.org/tlog-proof@v1" && index !== undefined && path.length <= 63, "回执不完整");
    const checkpoint = await openCheckpoint(receipt.slice(cut + 2), charter);
    const hash = await sha256(join([0], utf8.encode(canonical(leaf))));
    await verifyInclusion(hash, Number(index), checkpoint, path.map((line) => fromB64(line, 32)));
    return { index: Number(index), checkpoint };
  }

  // RFC 9162 section 2.1.3.2; sizes up to 2^53, so no bit operations
  async function verifyInclusion(hash, index, checkpoint, path) {
    let fn = index, sn = checkpoint.size - 1, value = hash;
    need(index < checkpoint.size, "条目不在日志里");
    for (const sibling of path) {
      need(sn > 0, "条目不在日志里");
      if (fn % 2 === 1 || fn === sn) {
        value = await sha256(join([1], sibling, value));
        while (fn % 2 === 0 && fn > 0) {
          fn = Math.floor(fn / 2);
          sn = Math.floor(sn / 2);
        }
      } else {
        value = await sha256(join([1], value, sibling));
      }
      fn = Math.floor(fn / 2);
      sn = Math.floor(sn / 2);
    }
    need(sn === 0 && same(value, checkpoint.root), "条目不在日志里");
  }

  // -- changesets, sections 4 and 5 -----------------------------------------------------------------------------

  async function openLeaf(leaf, keys) {
    members(leaf, "envelope floor received v verdict", "日志条目");
    need(leaf.v === 1 && leaf.verdict === "accepted", "日志条目没有被接受");
    const payload = openEnvelope(leaf.envelope, CHANGESET, "变更集");
    const statement = parse(payload, "变更集");
    members(statement, "at dev n prev pub reg root seen seq tick v", "变更集");
    const [first, second] = leaf.envelope.signatures;
    need(leaf.envelope.signatures.length <= 2 && first.keyid === statement.dev, "变更集的签名人不对");
    const key = fromB64u(keys[statement.dev], 32);
    need((await deviceId(key)) === statement.dev, "终端编号和公钥不符");
    await verify(key, pae(CHANGESET, payload), fromB64(first.sig, 64), `终端 ${statement.dev.slice(0, 8)} `);
    if (second !== undefined) {
      need(second.keyid !== statement.dev, "变更集的签名人不对");
      const staff = fromB64u(keys[second.keyid], 32);
      need((await deviceId(staff)) === second.keyid, "人员密钥编号和公钥不符");
      await verify(staff, pae(CHANGESET, payload), fromB64(second.sig, 64), `人员密钥 ${second.keyid.slice(0, 8)} `);
    }
    return { statement, second: second === undefined ? null : second.keyid };
  }

  async function openBody(body, statement) {
    members(body, "slots v", "正文");
    need(body.v === 1 && Array.isArray(body.slots) && body.slots.length === statement.n, "正文的项数不对");
    const digests = [];
    const writes = [];
    for (const [position, slot] of body.slots.entries()) {
      if (typeof slot === "string") {
        digests.push(fromB64u(slot, 32));
        continue;
      }
      need(Array.isArray(slot) && slot.length === 4, "正文的写法不对");
      const [salt, path, value, over] = slot;
      fromB64u(salt, 16);
      const disclosure = canonical([salt, path, { over, set: value }]);
      digests.push(await sha256(utf8.encode(toB64u(utf8.encode(disclosure)))));
      need(position < statement.pub, "正文里有不该公开的项");
      need(writes.every((each) => each.path !== path), "正文里一项出现两次");
      writes.push({ path, value, over });
    }
    need(toB64u(await treeRoot(digests)) === statement.root, "正文和当时签名的不一致");
    return writes;
  }

  // RFC 6962 section 2.1
  async function treeRoot(inputs) {
    if (inputs.length === 1) return sha256(join([0], inputs[0]));
    let half = 1;
    while (half * 2 < inputs.length) half *= 2;
    return sha256(join([1], await treeRoot(inputs.slice(0, half)), await treeRoot(inputs.slice(half))));
  }

  function partsOf(path) {
    const parts = /^([a-z][a-z0-9_]{0,62}|_changeset)\/((?:[^/~\x00-\x1f]|~[01]){1,256})\/([a-z_][a-z0-9_]{0,62})$/.exec(path);
    need(parts !== null, "路径写法不对");
    return { table: parts[1], key: parts[2].replace(/~1/g, "/").replace(/~0/g, "~"), field: parts[3] };
  }

  // -- the whole ------------------------------------------------------------------------------------------------

  async function verifyProof(bytes, ownCharter) {
    need(bytes.length <= MAX_BYTES, "文件太大");
    const proof = parse(bytes, "文件");
    if (proof !== null && Number.isInteger(proof.v) && proof.v !== 1) {
      throw new Unable(`这个文件是协议第 ${proof.v} 版的，本页只认第 1 版`);
    }
    const more = proof !== null && typeof proof === "object" && proof.charters !== undefined ? " charters" : "";
    members(proof, `charter${more} entries key keys rows table v`, "文件");
    need(proof.v === 1, "文件没有写明版本");
    need(Array.isArray(proof.rows) && proof.rows.length > 0 && Array.isArray(proof.entries), "文件不完整");
    need(canonical(proof.rows[0]) === canonical([proof.table, proof.key]), "文件不是这条记录的");
    const chain = await openCharters(proof);
    const charter = chain[chain.length - 1];
    if (ownCharter) {
      const own = canonical(parse(ownCharter, "您的章程"));
      need(chain.some((each) => canonical(each.envelope) === own), "文件用的是另一份章程");
    }
    const rows = new Set(proof.rows.map((row) => canonical(row)));
    need(rows.size === proof.rows.length, "文件里一行出现两次");
    const entries = await openEntries(proof, charter);
    const { fields, hidden } = sortWrites(entries, rows, charter);
    need(fields.length > 0, "文件里没有这条记录的内容");
    return { proof, charter, fields, hidden, entries, checkpoint: entries[0].checkpoint, ownCharter: Boolean(ownCharter) };
  }

  async function openEntries(proof, charter) {
    const entries = [];
    let last = -1;
    for (const entry of proof.entries) {
      members(entry, "body leaf receipt", "条目");
      const { index, checkpoint } = await verifyReceipt(entry.receipt, entry.leaf, charter);
      const { statement, second } = await openLeaf(entry.leaf, proof.keys);
      const writes = await openBody(entry.body, statement);
      need(index > last, "条目的次序不对");
      last = index;
      entries.push({ index, checkpoint, statement, second, writes, received: entry.leaf.received });
    }
    need(entries.length > 0, "文件里没有条目");
    need(entries.every((each) => each.checkpoint.text === entries[0].checkpoint.text), "条目用了不同的检查点");
    const signers = new Set([...entries.map((each) => each.statement.dev), ...secondsOf(entries)]);
    need([...signers].sort().join(" ") === Object.keys(proof.keys).sort().join(" "), "密钥和作者不符");
    return entries;
  }

  function secondsOf(entries) {
    return new Set(entries.map((each) => each.second).filter((keyid) => keyid !== null));
  }

  // the rows of the log that withhold or erase something of the record: `erasure/<slot>` -> path and reason
  function hidingRows(entries, rows) {
    const found = new Map();
    for (const { writes } of entries) {
      for (const { path, value } of writes) {
        const { table, key, field } = partsOf(path);
        if (!HIDING.has(table) || field !== "path" || typeof value !== "string") continue;
        const named = partsOf(value);
        if (rows.has(canonical([named.table, named.key]))) found.set(`${table}/${key}`, { ...named, erased: table === "erasure", reason: "" });
      }
    }
    return found;
  }

  function sortWrites(entries, rows, charter) {
    const hiding = hidingRows(entries, rows);
    const tables = new Set([...rows].map((row) => JSON.parse(row)[0]));
    const authors = new Set(entries.map((each) => each.statement.dev));
    const seconds = secondsOf(entries);
    const enrolled = new Set();
    const fields = new Map();
    for (const { writes, statement, index, received } of entries) {
      for (const { path, value, over } of writes) {
        const { table, key, field } = partsOf(path);
        const own = rows.has(canonical([table, key]));
        const hides = !own && hiding.get(`${table}/${key}`);
        const certifies = (table === "device" && authors.has(key)) || (table === "staff_key" && seconds.has(key));
        const helper = certifies || (table === "register" && tables.has(key));
        need(own || helper || hides, "文件多出了别的内容");
        if (table === "device" || table === "staff_key" || ((table === "register" || hides) && !own)) {
          need(charter.registrarIds.has(statement.dev), "证书、登记册或删除记录不是登记终端写的");
          if (hides && field === "reason") hides.reason = String(value);
          if ((table === "device" || table === "staff_key") && field === "public_key") enrolled.add(key);
        }
        if (!own) continue;
        if (!fields.has(path)) fields.set(path, { table, key, field, heads: [] });
        const heads = fields.get(path).heads;
        const kept = heads.filter((head) => !over.some(([dev, seq]) => dev === head.dev && seq === head.seq));
        fields.get(path).heads = [...kept, { value, dev: statement.dev, seq: statement.seq, index, received }];
      }
    }
    for (const dev of authors) need(charter.registrarIds.has(dev) || enrolled.has(dev), "缺少作者终端的证书");
    for (const keyid of seconds) need(enrolled.has(keyid), "缺少人员密钥的登记");
    return { fields: [...fields.values()], hidden: [...hiding.values()] };
  }

  window.syncgovProof = { verifyProof, Wrong, Unable, MAX_BYTES, canonical };
})();
