// What our scripts say, in the language of the page. The English text is the key: locales/LANGUAGE/main.json translates it,
// and tests/nodes/test_locales.py finds every text in our scripts.
import { api } from '../../../scripts/api.js'
import { app } from '../../../scripts/app.js'

let translations = {}

app.registerExtension({
  name: 'Upscale8K.Words',
  async init() {
    const all = await api.getCustomNodesI18n().catch(() => ({}))
    translations = all[app.extensionManager.setting.get('Comfy.Locale')]?.upscale8k ?? {}
  }
})

/** The text, translated, with {name} replaced by what `values` holds under that name. */
export function say(text, values = {}) {
  return (translations[text] ?? text).replace(/\{(\w+)\}/g, (all, name) => values[name] ?? all)
}
