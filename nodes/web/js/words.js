// Texts of our scripts in the language of the page. The English text is the key: locales/LANGUAGE/main.json translates it, and
// tests/nodes/test_locales.py finds every text in our scripts.
import { api } from '../../../scripts/api.js'
import { app } from '../../../scripts/app.js'

let translations = {}
let nodeDefs = {}

app.registerExtension({
  name: 'Upscale8K.Words',
  async init() {
    const all = await api.getCustomNodesI18n().catch(() => ({}))
    const here = all[app.extensionManager.setting.get('Comfy.Locale')] ?? {}
    translations = here.upscale8k ?? {}
    nodeDefs = here.nodeDefs ?? {}
  }
})

/** Return the translated text with {name} replaced by `values[name]`. */
export function say(text, values = {}) {
  return (translations[text] ?? text).replace(/\{(\w+)\}/g, (all, name) => values[name] ?? all)
}

/** Return the translated name and tooltip of an input of a node type; undefined where there is none. */
export function inputWords(type, input) {
  const { name, tooltip } = nodeDefs[type]?.inputs?.[input] ?? {}
  return { name, tooltip: tooltip?.replace(/\{'(.)'\}/g, '$1') } // as the files write what vue-i18n would take for commands
}
