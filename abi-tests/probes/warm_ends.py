"""Ends in the way that its first argument names, after leaving things that the end of an interpreter has to finish."""
import sys, os, threading, time, signal, atexit
how = sys.argv[1]
class D:
    def __init__(self, n): self.n = n
    def __del__(self): print('del', self.n, flush=True)
d = D('global')
atexit.register(print, 'atexit')
f = open(sys.argv[2] if len(sys.argv) > 2 else '/dev/null', 'w'); f.write('unflushed')
print('begin', how)
def deep(): 
    raise ValueError('deep')
if how == 'ok': pass
elif how == 'code': sys.exit(int(sys.argv[3]))
elif how == 'text': sys.exit('some text')
elif how == 'none': sys.exit()
elif how == 'obj': sys.exit([1,2])
elif how == 'exc': deep()
elif how == 'chain':
    try: deep()
    except ValueError as e: raise KeyError('x') from e
elif how == 'kbd': raise KeyboardInterrupt
elif how == 'hook':
    sys.excepthook = lambda *a: print('hook', a[0], a[2].tb_frame.f_code.co_name, a[2].tb_next is None)
    raise RuntimeError
elif how == 'badhook':
    def h(*a): raise TypeError('in hook')
    sys.excepthook = h
    raise RuntimeError('first')
elif how == '_exit': os._exit(9)
elif how == 'kill': os.kill(os.getpid(), int(sys.argv[3]))
elif how == 'abort': os.abort()
elif how == 'thread':
    t = threading.Thread(target=lambda: (time.sleep(.2), print('thread done'))); t.start()
elif how == 'daemon':
    threading.Thread(target=lambda: time.sleep(100), daemon=True).start()
elif how == 'forked':
    if os.fork() == 0: print('in fork'); sys.exit(3)
    print(os.wait()[1])
elif how == 'atexit_exc':
    atexit.register(lambda: 1/0)
elif how == 'cycle':
    a = [D('cycle')]; a.append(a); del a
elif how == 'stdout_closed': sys.stdout.close()
elif how == 'exec':
    sys.stdout.flush(); os.execvp('echo', ['echo', 'replaced'])
elif how == 'big': sys.exit(1 << 40)
elif how == 'rec':
    def r(): r()
    r()
elif how == 'lib':
    import logging; logging.keep = D('held by a library'); logging.file = open(sys.argv[2] + '.lib', 'w'); logging.file.write('kept')
elif how == 'main':
    import __main__; print(__main__.d is d)
elif how == 'warn':
    import warnings; warnings.warn('careful')
elif how == 'syntax': exec('1 +')
elif how == 'pickle':
    import pickle; print(pickle.loads(pickle.dumps(D)) is D)
elif how == 'mp':
    import multiprocessing as m
elif how == 'del_main': del sys.modules['__main__']
elif how == 'unraisable':
    class B:
        def __del__(self): 1/0
    b = B()
elif how == 'wrapped':
    import io
    del D.__del__
    sys.stdout = io.TextIOWrapper(sys.stdout.detach(), encoding='utf-8')
    print('wrapped')
elif how == 'detached':
    del D.__del__
    sys.stdout.detach()
