// Asks Node's fs (sync, callbacks, promises, opendir, streams) about the tree in argv[2].
// One line an answer; an error is an answer too. Node reaches statx through libc's syscall().
'use strict';
const fs = require('fs');
const os = require('os');
const path = require('path');
const child = require('child_process');
const crypto = require('crypto');
const util = require('util');

const root = process.argv[2];
const exact = 'PROBE_EXACT' in process.env;
const changes = 'PROBE_CHANGES' in process.env;

const show = (value) => util.inspect(value, { depth: 6, breakLength: Infinity, maxArrayLength: 2000 });
const failure = (error) => `${error.code} ${error.syscall} ${error.path} ${error.dest ?? ''}`;
const say = (name, answer) => process.stdout.write(`${name} = ${answer}\n`);

function sync(name, call) {
  try {
    say(name, show(call()));
  } catch (error) {
    say(name, failure(error));
  }
}

async function later(name, promise) {
  try {
    say(name, show(await promise));
  } catch (error) {
    say(name, failure(error));
  }
}

function fields(stat) {
  const usual = [stat.mode.toString(8), stat.nlink, stat.uid, stat.gid, stat.size, stat.mtimeNs, stat.blksize, stat.isFile(), stat.isDirectory(), stat.isSymbolicLink()];
  return exact ? [...usual, stat.ino, stat.blocks, stat.atimeNs, stat.ctimeNs] : usual;
}

const big = { bigint: true };
const entries = (list) => list.map((entry) => [entry.name, entry.isDirectory(), entry.isFile(), entry.isSymbolicLink()]).sort();
const digest = (bytes) => crypto.createHash('sha1').update(bytes).digest('hex');
const small = (name) => { try { return fs.statSync(name).size < 1 << 20; } catch { return true; } };

function* walk(directory) {
  yield directory;
  let list;
  try {
    list = fs.readdirSync(directory, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1));
  } catch (error) {
    say('walk', failure(error));
    return;
  }
  for (const entry of list) {
    const name = path.join(directory, entry.name);
    if (entry.name === 'wide' || entry.name.startsWith('level-')) continue;
    if (entry.isDirectory()) yield* walk(name);
    else yield name;
  }
}

async function one(name) {
  say('--', show(name));
  sync('statSync', () => fields(fs.statSync(name, big)));
  sync('lstatSync', () => fields(fs.lstatSync(name, big)));
  sync('statSync or undefined', () => fs.statSync(name, { throwIfNoEntry: false }) === undefined);
  sync('existsSync', () => fs.existsSync(name));
  for (const mode of [fs.constants.R_OK, fs.constants.W_OK, fs.constants.X_OK]) sync('accessSync', () => fs.accessSync(name, mode));
  sync('readlinkSync', () => fs.readlinkSync(name));
  sync('realpathSync', () => fs.realpathSync(name));
  sync('realpathSync.native', () => fs.realpathSync.native(name));
  sync('readdirSync', () => fs.readdirSync(name).sort());
  await later('stat', fs.promises.stat(name, big).then(fields));
  await later('lstat', fs.promises.lstat(name, big).then(fields));
  await later('access', fs.promises.access(name, fs.constants.R_OK));
  await later('readlink', fs.promises.readlink(name));
  await later('realpath', fs.promises.realpath(name));
  await later('readdir', fs.promises.readdir(name, { withFileTypes: true }).then(entries));
  await later('stat callback', util.promisify(fs.stat)(name, big).then(fields));
  await later('realpath callback', util.promisify(fs.realpath)(name));
  await later('realpath native callback', util.promisify(fs.realpath.native)(name));
  if (small(name)) {
    sync('readFileSync', () => digest(fs.readFileSync(name)));
    sync('readFileSync utf8', () => fs.readFileSync(name, 'utf8').length);
    await later('readFile', fs.promises.readFile(name).then(digest));
    await later('readFile callback', util.promisify(fs.readFile)(name).then(digest));
  }
}

async function handles() {
  const names = [];
  for await (const entry of await fs.promises.opendir(path.join(root, 'names'), { bufferSize: 3 })) names.push([entry.name, entry.isFile()]);
  say('opendir', show(names.sort()));
  const directory = fs.opendirSync(path.join(root, 'dir'));
  sync('opendirSync', () => { const found = []; for (let entry; (entry = directory.readSync()) !== null;) found.push(entry.name); directory.closeSync(); return found.sort(); });
  sync('readdir recursive', () => fs.readdirSync(path.join(root, 'dir'), { recursive: true }).sort());
  const file = await fs.promises.open(path.join(root, 'bytes-70000'));
  await later('handle.stat', file.stat(big).then(fields));
  await later('handle.read', file.read(Buffer.alloc(10), 0, 10, 60000).then((answer) => answer.buffer));
  await later('handle.readFile', file.readFile().then(digest));
  await later('handle.truncate', file.truncate(0));
  await later('handle.chmod', file.chmod(0o600));
  await later('handle.utimes', file.utimes(1, 1));
  await file.close();
  const stream = fs.createReadStream(path.join(root, 'bytes-70000'), { start: 10, end: 69000 });
  const hash = crypto.createHash('sha1');
  for await (const chunk of stream) hash.update(chunk);
  say('stream', hash.digest('hex'));
  const lines = [];
  for await (const line of require('readline').createInterface({ input: fs.createReadStream(path.join(root, 'plain.txt')) })) lines.push(line);
  say('lines', show(lines));
  const fd = fs.openSync(path.join(root, 'dir/same-a'), 'r');
  sync('fstatSync', () => fields(fs.fstatSync(fd, big)));
  sync('readSync', () => { const part = Buffer.alloc(4); return [fs.readSync(fd, part, 0, 4, 2), part]; });
  sync('readvSync', () => { const parts = [Buffer.alloc(3), Buffer.alloc(5)]; return [fs.readvSync(fd, parts, 1), parts]; });
  fs.closeSync(fd);
  const all = [...walk(root)];
  const stats = await Promise.allSettled(all.map((name) => fs.promises.lstat(name)));
  say('allSettled', show(stats.map((answer) => answer.value?.size ?? answer.reason.code)));
}

function copies() {
  const out = fs.mkdtempSync(path.join(os.tmpdir(), 'velo-node-'));
  sync('copyFileSync', () => { fs.copyFileSync(path.join(root, 'bytes-70000'), path.join(out, 'a')); return digest(fs.readFileSync(path.join(out, 'a'))); });
  sync('copyFileSync excl', () => fs.copyFileSync(path.join(root, 'plain.txt'), path.join(out, 'b'), fs.constants.COPYFILE_EXCL | fs.constants.COPYFILE_FICLONE));
  sync('cpSync', () => { fs.cpSync(path.join(root, 'dir'), path.join(out, 'c'), { recursive: true }); return fs.readdirSync(path.join(out, 'c'), { recursive: true }).sort(); });
  fs.rmSync(out, { recursive: true });
}

async function changing() {
  for (const rel of ['plain.txt', 'new', 'dir', 'missing/new', 'links/dangling', 'links/relative']) {
    const name = path.join(root, rel);
    for (const flag of ['w', 'a', 'r+', 'wx']) sync(`openSync ${flag}`, () => fs.openSync(name, flag));
    sync('writeFileSync', () => fs.writeFileSync(name, 'x'));
    sync('appendFileSync', () => fs.appendFileSync(name, 'x'));
    sync('mkdirSync', () => fs.mkdirSync(name));
    sync('mkdirSync recursive', () => fs.mkdirSync(name, { recursive: true }));
    sync('rmdirSync', () => fs.rmdirSync(name));
    sync('unlinkSync', () => fs.unlinkSync(name));
    sync('renameSync', () => fs.renameSync(name, `${name}2`));
    sync('linkSync', () => fs.linkSync(name, `${name}2`));
    sync('symlinkSync', () => fs.symlinkSync('x', name));
    sync('chmodSync', () => fs.chmodSync(name, 0o600));
    sync('chownSync', () => fs.chownSync(name, 0, 0));
    sync('utimesSync', () => fs.utimesSync(name, 1, 1));
    sync('lutimesSync', () => fs.lutimesSync(name, 1, 1));
    sync('truncateSync', () => fs.truncateSync(name));
    await later('unlink', fs.promises.unlink(name));
    await later('writeFile', fs.promises.writeFile(name, 'x'));
    await later('copyFile', fs.promises.copyFile(path.join(root, 'one'), name));
  }
}

function programs() {
  process.chdir(path.join(root, 'links/to-dir'));
  sync('cwd', () => process.cwd());
  sync('relative', () => fs.readFileSync('same-a', 'utf8'));
  sync('execFileSync', () => child.execFileSync('cat', ['same-b'], { encoding: 'utf8' }));
  sync('execFileSync cwd', () => child.execFileSync('pwd', { cwd: path.join(root, 'hard'), encoding: 'utf8' }));
  sync('execSync', () => child.execSync('cat ../plain.txt; pwd', { encoding: 'utf8' }));
  sync('execFileSync without environment', () => child.execFileSync('/bin/cat', ['same-a'], { env: {}, encoding: 'utf8' }));
  sync('spawnSync missing', () => child.spawnSync('./missing').error.code);
  sync('spawnSync not executable', () => child.spawnSync('./same-a').error.code);
  sync('spawnSync bad cwd', () => child.spawnSync('pwd', { cwd: path.join(root, 'missing') }).error.code);
  sync('spawnSync input', () => { const fd = fs.openSync('same-a', 'r'); return child.spawnSync('cat', { stdio: [fd, 'pipe', 'pipe'] }).stdout.toString(); });
}

(async () => {
  const names = [...walk(root)];
  for (const rel of ['missing', 'plain.txt/', 'plain.txt/below', 'links/to-dir/..', 'links/chain-40', 'links/chain-41', '', '.', `names/${'x'.repeat(256)}`]) names.push(`${root}/${rel}`);
  for (const name of names) await one(name);
  await one(Buffer.concat([Buffer.from(`${root}/names/`), Buffer.from('fffe', 'hex'), Buffer.from(' not utf-8 '), Buffer.from('80', 'hex')]));
  await handles();
  copies();
  if (changes) await changing();
  programs();
})();
