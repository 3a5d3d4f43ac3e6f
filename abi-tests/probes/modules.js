// An application whose packages stand in the served node_modules: CommonJS, JSON, ESM, exports
// maps, symlinked packages (as pnpm makes them), workers, WebAssembly, createRequire.
'use strict';
const path = require('path');
const { createRequire } = require('module');
const { Worker, isMainThread, parentPort } = require('worker_threads');

if (!isMainThread) {
  parentPort.postMessage([require('plain').name, require.resolve('plain/lib/deep')]);
} else {
  main();
}

async function main() {
  const plain = require('plain');
  console.log(plain, require('plain/package.json').version, require('plain/lib/deep'), require('./data.json'));
  console.log(require.resolve('plain'), require.resolve.paths('plain')[0], require('linked'), require.resolve('linked'), require('linked/peer'));
  console.log(require('mapped'), require('mapped/feature'), require('./folder'), module.paths[0], __filename, __dirname);
  for (const name of ['absent', 'mapped/hidden', './absent.js', 'plain/lib']) {
    try {
      console.log(name, require(name));
    } catch (error) {
      console.log(name, error.code);
    }
  }
  const esm = await import('esm');
  console.log(esm.name, esm.url, esm.sibling, (await import('mapped')).default, (await import('./module.mjs')).here);
  await import('absent').catch((error) => console.log(error.code));
  console.log(createRequire(path.join(__dirname, 'folder', 'x.js'))('./index.js'));
  console.log(await new Promise((resolve) => new Worker(__filename).once('message', resolve)));
  try {
    require('plain/throws')();
  } catch (error) {
    console.log(error.stack.split('\n').slice(0, 2).join('|'));
  }
  console.log(Object.keys(require.cache).sort());
}
